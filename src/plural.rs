//! Numbers with nouns, in messages.

/// A number and its noun: `1 asset`, `2 assets`, `1 history`, `2 histories`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    if number == 1 {
        return format!("1 {thing}");
    }
    match thing.strip_suffix("ry") {
        Some(stem) => format!("{number} {stem}ries"),
        None => format!("{number} {thing}s"),
    }
}

/// The same after another number: `, 2 streams`, and nothing for none.
pub(crate) fn listed(number: u64, thing: &str) -> String {
    if number == 0 { String::new() } else { format!(", {}", count(number, thing)) }
}

/// The same as the subject of a sentence: `1 version is`, `2 versions are`.
pub(crate) fn count_are(number: u64, thing: &str) -> String {
    let is = if number == 1 { "is" } else { "are" };
    format!("{} {is}", count(number, thing))
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn one_is_one_and_others_are_several() {
        let said = [0, 1, 2].map(|number| (count(number, "asset"), count(number, "history")));
        let expected =
            [("0 assets", "0 histories"), ("1 asset", "1 history"), ("2 assets", "2 histories")];
        assert_eq!(said, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
