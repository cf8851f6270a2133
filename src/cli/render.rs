//! Text from files, buckets and requests, made safe for display: no character of it moves the
//! cursor, ends a line, or changes the direction of the text after it.

use std::borrow::Cow;
use std::fmt::Write;

use ledger::id::{Key, Tenant};

/// Text on one line.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_odd, |c| c.escape_unicode().to_string())
}

/// Text with its line feeds.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_odd(c), |c| c.escape_unicode().to_string())
}

/// Lines of a log, in which escape characters are only our own colours.
pub(super) fn coloured(text: &str) -> Cow<'_, str> {
    let odd = |c| c != '\n' && c != '\u{1b}' && is_odd(c);
    escaped(text, odd, |c| c.escape_unicode().to_string())
}

/// JSON with the same meaning: such characters occur only in its strings.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| c != '\n' && is_odd(c),
        |c| {
            let mut units = [0; 2];
            let escapes = c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
            escapes.collect::<Vec<_>>().concat()
        },
    )
}

/// An asset as an argument of commands: its id, or for another tenant, tenant and id.
pub(super) fn asset(partition: &str, tenant: &Tenant) -> String {
    match Key::from_partition(partition) {
        Some(key) if key.tenant == *tenant => key.asset.to_string(),
        _ => line(partition).into_owned(),
    }
}

/// A character that is invisible or has another effect. The joiners of emoji and scripts stay.
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escaped(
    text: &str,
    odd: impl Fn(char) -> bool,
    escape: impl Fn(char) -> String,
) -> Cow<'_, str> {
    if !text.contains(&odd) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().fold(String::new(), |mut shown, c| {
        // Writing to memory does not fail.
        let _ = if odd(c) { shown.write_str(&escape(c)) } else { shown.write_char(c) };
        shown
    });
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_something_to_a_terminal_is_shown_as_what_it_is() {
        for (hostile, shown) in [
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\r\nb\t\0\u{7f}", "a\\u{d}\\u{a}b\\u{9}\\u{0}\\u{7f}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}fdp.exe\u{2066}", "a\\u{202e}fdp.exe\\u{2066}"),
            ("\u{2028}\u{2029}\u{85}", "\\u{2028}\\u{2029}\\u{85}"),
            ("a\u{200b}\u{feff}\u{ad}\u{e0041}", "a\\u{200b}\\u{feff}\\u{ad}\\u{e0041}"),
        ] {
            assert_eq!(line(hostile), shown);
        }
        for harmless in ["naïve 文書 🦀.txt", "👩\u{200d}💻", "❤\u{fe0f}", "\"quoted\" \\ back"]
        {
            assert!(matches!(line(harmless), Cow::Borrowed(_)), "{harmless}");
        }
        assert_eq!(lines("a\nb\rc"), "a\nb\\u{d}c");
    }

    #[test]
    fn json_says_the_same_afterwards() {
        let said = serde_json::json!({"name": "a\u{202e}b\u{9b}c\u{e0041}\u{1b}\u{7f} 🦀"});
        let shown = json(&said.to_string()).into_owned();
        assert!(!shown.contains(is_odd), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), said);
    }
}
