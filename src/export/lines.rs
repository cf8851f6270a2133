//! The lines of an untrusted file, each within its limits.

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::form::{FILE, LINE};

/// Gzip's prefix.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Bytes per read.
const BUFFER: usize = 256 * 1024;

/// The lines of one file.
pub(super) struct Lines {
    name: String,
    from: Box<dyn BufRead>,
    number: u64,
    left: u64,
    line: Vec<u8>,
}

/// Why a file is unreadable from a line on.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {why}")]
pub(super) struct LineError {
    /// The file and the line.
    pub(super) place: String,
    why: String,
}

/// The content of a line.
pub(super) enum LineText<'a> {
    /// Text.
    Line(&'a str),
    /// Bytes, not text.
    Bytes,
}

impl Lines {
    /// The lines of `from`, unpacked if it is packed. The name is for messages.
    pub(super) fn new(name: &str, from: impl Read + 'static) -> std::io::Result<Self> {
        let mut from = BufReader::with_capacity(BUFFER, from);
        let packed = from.fill_buf()?.starts_with(&GZIP);
        // All members: data appended to a packed file is read too, not skipped.
        let from: Box<dyn BufRead> = if packed {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(from)))
        } else {
            Box::new(from)
        };
        Ok(Self { name: name.to_owned(), from, number: 0, left: FILE, line: Vec::new() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The number of the last line read, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its line feed; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<LineText<'_>>, LineError> {
        self.number += 1;
        self.line.clear();
        let read = (&mut self.from).take(LINE + 1).read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| self.fault(&format!("it cannot be read: {error}")))? as u64;
        if read == 0 {
            return Ok(None);
        }
        if self.line.pop() != Some(b'\n') {
            let long = read > LINE;
            let long_line = format!("it is longer than {LINE} bytes, which no event is");
            let cut = "it ends without a line feed: the file was cut off".to_owned();
            return Err(self.fault(if long { &long_line } else { &cut }));
        }
        let left = self.left.checked_sub(read);
        self.left = left.ok_or_else(|| self.fault(&format!("over {FILE} bytes in one file")))?;
        Ok(Some(std::str::from_utf8(&self.line).map_or(LineText::Bytes, LineText::Line)))
    }

    /// A fault of the last line read.
    pub(super) fn fault(&self, why: &str) -> LineError {
        self.fault_at(self.number, why)
    }

    /// A fault of the line with this number.
    pub(super) fn fault_at(&self, number: u64, why: &str) -> LineError {
        LineError { place: format!("{}:{number}", self.name), why: why.to_owned() }
    }
}
