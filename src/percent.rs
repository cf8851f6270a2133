//! Percent-coding (RFC 3986, section 2.1): the only module that encodes and decodes.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but RFC 3986's unreserved characters.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const IN_PATH: AsciiSet = RESERVED.remove(b'/');
/// All but `attr-char` of RFC 5987, section 3.2.1.
const IN_HEADER: AsciiSet = RESERVED
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'^')
    .remove(b'`')
    .remove(b'|');

/// A name or a value of a query.
pub(crate) fn component(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// A path; its slashes stay.
pub(crate) fn path(text: &str) -> String {
    utf8_percent_encode(text, &IN_PATH).to_string()
}

/// The value of a header's parameter whose name ends in `*`.
pub(crate) fn header_value(text: &str) -> String {
    utf8_percent_encode(text, &IN_HEADER).to_string()
}

/// Decodes a path; `None` if it is not UTF-8.
#[cfg(feature = "local")]
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// Decodes a path, with U+FFFD for bytes that are not UTF-8.
pub(crate) fn decode_lossy(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// The same for a form, where `+` is a space.
pub(crate) fn decode_form_lossy(text: &str) -> String {
    decode_lossy(&text.replace('+', " ")).into_owned()
}

/// Decodes a form strictly; `None` if it is malformed or not UTF-8.
pub(crate) fn decode_form(text: &str) -> Option<String> {
    let coded = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(coded) {
        return None;
    }
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_or_refused() {
        for (coded, text) in [("a+b", "a b"), ("%C3%a9", "é"), ("", ""), ("a%2Bb", "a+b")] {
            assert_eq!(decode_form(coded).as_deref(), Some(text));
        }
        for broken in ["%", "%4", "%4g", "%+4", "%ff", "%C3", "%ed%a0%80", "%é", "%%41"] {
            assert_eq!(decode_form(broken), None, "{broken}");
        }
        assert_eq!(decode_form_lossy("a+%zz%ff"), "a %zz\u{fffd}");
    }

    #[test]
    fn each_place_has_its_own_characters() {
        let text = "a-._~/!#$&+^`|%é ";
        assert_eq!(component(text), "a-._~%2F%21%23%24%26%2B%5E%60%7C%25%C3%A9%20");
        assert_eq!(path(text), "a-._~/%21%23%24%26%2B%5E%60%7C%25%C3%A9%20");
        assert_eq!(header_value(text), "a-._~%2F!#$&+^`|%25%C3%A9%20");
        assert_eq!(decode(&path(text)).as_deref(), Some(text));
    }
}
