//! The ledger's spelling of JSON: recognised without writing it, and read without a parser.

use std::io::{self, Write};
use std::str::FromStr;

use serde::Serialize;
use serde_json::value::RawValue;

/// Whether `text` is how `value` is written, without writing it.
pub(super) fn is_spelling(value: &impl Serialize, text: &str) -> bool {
    let mut rest = ExpectedText(text.as_bytes());
    serde_json::to_writer(&mut rest, value).is_ok() && rest.0.is_empty()
}

/// A writer that accepts only this text.
struct ExpectedText<'a>(&'a [u8]);

impl Write for ExpectedText<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let rest = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        self.0 = rest;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The rest of a text, read from its start. Each method takes the bytes `before` a value, and the
/// value. `None`, and nothing is taken, if it is not spelled as the ledger spells it, or has an
/// escape.
pub(super) struct SpelledText<'a>(pub(super) &'a str);

impl<'a> SpelledText<'a> {
    /// These bytes.
    #[inline]
    pub(super) fn take(&mut self, bytes: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(bytes)?;
        Some(())
    }

    /// A string, whose opening quote is the last byte before it.
    #[inline]
    pub(super) fn text(&mut self, before: &str) -> Option<&'a str> {
        let rest = self.0.strip_prefix(before)?;
        let (text, rest) = rest.split_at(end_of_text(rest.as_bytes())?);
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    /// A whole number.
    pub(super) fn number<N: FromStr>(&mut self, before: &str) -> Option<N> {
        let rest = self.0.strip_prefix(before)?;
        let end = rest.bytes().position(|b| !b.is_ascii_digit())?;
        let (digits, rest) = rest.split_at(end);
        let number = digits.parse().ok().filter(|_| end == 1 || !digits.starts_with('0'))?;
        self.0 = rest;
        Some(number)
    }

    /// An object, in any spelling within it.
    pub(super) fn object(&mut self, before: &str) -> Option<&'a RawValue> {
        let rest = self.0.strip_prefix(before).filter(|rest| rest.starts_with('{'))?;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter();
        let object = values.next()?.ok()?;
        self.0 = rest.get(values.byte_offset()..)?;
        Some(object)
    }
}

/// The place of the first byte that ends a text or that a text escapes: a quote, a backslash or a
/// control character.
fn end_of_text(bytes: &[u8]) -> Option<usize> {
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | ..=0x1f);
    let mut words = bytes.chunks_exact(8);
    let mut before = 0;
    for word in &mut words {
        let Ok(word) = word.try_into().map(u64::from_le_bytes) else { break };
        let found = lowest_end(word);
        if found != 0 {
            return Some(before + found.trailing_zeros() as usize / 8);
        }
        before += 8;
    }
    words.remainder().iter().position(ends).map(|at| before + at)
}

/// The highest bit of the lowest byte that `end_of_text` looks for is set, and none below it.
///
/// A subtraction borrows only from bytes above one that matches, so the lowest match is exact.
fn lowest_end(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = is_zero(word ^ (ONES * u64::from(b'"')));
    let backslash = is_zero(word ^ (ONES * u64::from(b'\\')));
    (is_control | quote | backslash) & (ONES * 0x80)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_ends_where_its_first_special_byte_is() {
        for (special, filler) in
            (0..=u8::MAX).flat_map(|it| [b' ', b'a', 0x7f, 0xff].map(|f| (it, f)))
        {
            for at in 0..20 {
                let mut bytes = [filler; 20];
                bytes[at] = special;
                let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | ..=0x1f);
                assert_eq!(end_of_text(&bytes), bytes.iter().position(ends), "{special} at {at}");
            }
        }
    }

    #[test]
    fn nothing_is_taken_of_what_is_not_read() {
        for text in
            ["1:01,", "1:1", "1:99999999999999999999,", "1:-1,", "1:,", "1:\"a\\n\"", "1:\"a"]
        {
            let mut rest = SpelledText(text);
            assert_eq!(rest.number::<u64>("1:"), None, "{text}");
            assert_eq!(rest.text("1:\""), None, "{text}");
            assert_eq!(rest.take("2"), None, "{text}");
            assert_eq!(rest.0, text);
        }
    }

    proptest! {
        #[test]
        fn a_text_ends_as_a_search_byte_by_byte_finds(
            bytes in prop::collection::vec(
                prop_oneof![Just(b'"'), Just(b'\\'), 0x1e..0x24_u8, any::<u8>()], 0..40)
        ) {
            let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | ..=0x1f);
            prop_assert_eq!(end_of_text(&bytes), bytes.iter().position(ends));
        }
    }
}
