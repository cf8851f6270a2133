//! Invisible characters, which make different names look the same.

/// The first invisible character of `text` in a place where no script needs it.
///
/// These are Unicode's `Default_Ignorable_Code_Point` and annotation marks. They include joiners
/// and variation selectors, which emoji and some scripts need: one is accepted after a character
/// that it can modify, and a joiner only between two.
pub(super) fn invisible(text: &str) -> Option<char> {
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let in_place = match c {
            '\u{200c}' | '\u{200d}' => {
                before.is_some_and(|c: char| !c.is_ascii() && !is_joiner(c))
                    && rest.peek().is_some_and(|c| !c.is_ascii() && !is_hidden(*c))
            }
            _ if is_selector(c) => before.is_some_and(|c| {
                !is_hidden(c) && (!c.is_ascii() || c.is_ascii_digit() || matches!(c, '#' | '*'))
            }),
            _ => !is_hidden(c),
        };
        if !in_place {
            return Some(c);
        }
        before = Some(c);
    }
    None
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}')
        || matches!(c, '\u{e0100}'..='\u{e01ef}')
}

fn is_hidden(c: char) -> bool {
    is_joiner(c)
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}')
        || matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}')
        || matches!(c, '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}')
        || matches!(c, '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
