//! The file name of a download.

use crate::percent;

/// `Content-Disposition` for saving as `filename`: an ASCII fallback for old clients, and the name
/// itself in RFC 5987's form. ASCII only, as a header must be.
pub(super) fn attachment(filename: Option<&str>) -> String {
    let Some(name) = filename else { return "attachment".to_owned() };
    let fallback: String = name.chars().map(plain).collect();
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{}", percent::header_value(name))
}

/// RFC 6266, appendix D: no escapes in the fallback, because clients read them differently.
fn plain(c: char) -> char {
    let safe = c == ' ' || c.is_ascii_graphic();
    if safe && !matches!(c, '"' | '\\' | '%' | '/') { c } else { '_' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_a_header() {
        for (name, fallback, encoded) in [
            ("report.pdf", "report.pdf", "report.pdf"),
            ("a b.txt", "a b.txt", "a%20b.txt"),
            ("a\"b\\c.txt", "a_b_c.txt", "a%22b%5Cc.txt"),
            ("Grüße.txt", "Gr__e.txt", "Gr%C3%BC%C3%9Fe.txt"),
            ("🎉.png", "_.png", "%F0%9F%8E%89.png"),
            ("x\r\nSet-Cookie: a", "x__Set-Cookie: a", "x%0D%0ASet-Cookie%3A%20a"),
            ("100%'s;=.txt", "100_'s;=.txt", "100%25%27s%3B%3D.txt"),
        ] {
            let header = attachment(Some(name));
            assert!(header.is_ascii() && !header.contains(['\r', '\n']), "{header}");
            let whole = format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{encoded}");
            assert_eq!(header, whole);
        }
        assert_eq!(attachment(None), "attachment");
    }
}
