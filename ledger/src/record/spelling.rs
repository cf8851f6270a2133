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
/// value. `None` if it is not spelled as the ledger spells it, or has an escape.
pub(super) struct SpelledText<'a>(pub(super) &'a str);

impl<'a> SpelledText<'a> {
    /// A string, whose opening quote is the last byte before it.
    pub(super) fn text(&mut self, before: &str) -> Option<&'a str> {
        let rest = self.0.strip_prefix(before)?;
        let end = rest.bytes().position(|b| matches!(b, b'"' | b'\\' | ..=0x1f))?;
        let (text, rest) = rest.split_at(end);
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    /// A whole number.
    pub(super) fn number<N: FromStr>(&mut self, before: &str) -> Option<N> {
        let rest = self.0.strip_prefix(before)?;
        let end = rest.bytes().position(|b| !b.is_ascii_digit())?;
        let (digits, rest) = rest.split_at(end);
        self.0 = rest;
        digits.parse().ok().filter(|_| end == 1 || !digits.starts_with('0'))
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
