//! Whether a write-ahead log belongs to the file beside it. SQLite does not check this: it applies
//! the log's pages to any file, and continues with a mixture of two.
//!
//! After a crash the log beside the file belongs to it. Another file is detected by both: the pages
//! that the log's last transaction counts must be in the file or in the log, and the file's change
//! counter must be one that the log continues or contains. The writer raises the counter with each
//! commit, so an older file has a lower one than the log continues.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::beside;
use ledger::error::{StoreError, StoreErrorKind};

/// Bytes of the log's header, and of the header of each page in it.
const HEADER: usize = 32;
const FRAME: usize = 24;
/// The header of a log without the bit for the byte order of its checksums.
const MAGIC: u32 = 0x377f_0682;
/// The byte of a file that is locked and never written, and so its page.
const LOCK_BYTE: u64 = 1 << 30;

/// The content of the log's complete transactions.
#[derive(Debug, Default)]
struct WalContents {
    page: u32,
    /// Pages of the file after the last transaction.
    count: u32,
    pages: HashSet<u32>,
    /// The first and the last change counter.
    counters: Option<(u32, u32)>,
}

/// Fails if the log beside `path` belongs to another file, or to another state of it.
pub(super) fn check(path: &Path) -> Result<(), StoreError> {
    let read = || -> io::Result<Option<String>> {
        let Some(log) = WalContents::read(&beside(path, "-wal"))? else { return Ok(None) };
        stranger(path, &log)
    };
    let shown = path.display();
    let failed = |error| {
        StoreError::caused(
            StoreErrorKind::Unavailable,
            format!("{shown}: its log cannot be read"),
            error,
        )
    };
    match read().map_err(failed)? {
        None => Ok(()),
        Some(why) => Err(StoreError::new(
            StoreErrorKind::Misconfigured,
            format!(
                "{shown}-wal does not belong to the file beside it ({why}); nothing was changed. \
                 Bring back both from one copy. A copy of a stopped folder has no -wal: if the \
                 file was restored from one, move {shown}-wal away, and what is only in it is lost"
            ),
        )),
    }
}

/// Why the file is not the one for which the log was written.
fn stranger(path: &Path, log: &WalContents) -> io::Result<Option<String>> {
    let (mut file, mut head) = (File::open(path)?, [0; 100]);
    let length = file.metadata()?.len();
    if length > 0 && length < 512 {
        return Ok(Some("the file is cut off".to_owned()));
    }
    if length > 0 {
        file.read_exact(&mut head)?;
        let size = match u32::from(u16::from_be_bytes([head[16], head[17]])) {
            1 => 65_536,
            size => size,
        };
        if size != log.page {
            return Ok(Some(format!("its pages are of {} bytes, the file's of {size}", log.page)));
        }
    }
    let page = u64::from(log.page);
    let lock = LOCK_BYTE / page + 1;
    let missing = (length / page + 1..=u64::from(log.count))
        .find(|it| *it != lock && !u32::try_from(*it).is_ok_and(|it| log.pages.contains(&it)));
    if let Some(missing) = missing {
        return Ok(Some(format!("page {missing} of {} is in neither", log.count)));
    }
    let counter = word(&head, 24, u32::from_be_bytes);
    Ok(match log.counters {
        Some((first, last))
            if length > 0 && !(first.saturating_sub(1)..=last).contains(&counter) =>
        {
            Some(format!("the file is at change {counter}, the log goes from {first} to {last}"))
        }
        _ => None,
    })
}

impl WalContents {
    /// Reads the complete transactions, as SQLite does after a crash. `None` if there are none.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut log = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => BufReader::with_capacity(1 << 20, opened?),
        };
        let mut head = [0; HEADER];
        if !filled(&mut log, &mut head)? {
            return Ok(None);
        }
        let (magic, page) =
            (word(&head, 0, u32::from_be_bytes), word(&head, 8, u32::from_be_bytes));
        let sound = magic & !1 == MAGIC && page.is_power_of_two() && (512..=65_536).contains(&page);
        let order = if magic & 1 == 1 { u32::from_be_bytes } else { u32::from_le_bytes };
        let mut sum = add((0, 0), &head[..24], order);
        if !sound || sum != sum_at(&head, 24) {
            return Ok(None); // SQLite skips such a log too
        }
        let (mut whole, mut open) = (Self { page, ..Self::default() }, Self::default());
        let mut frame = vec![0; FRAME + page as usize];
        while filled(&mut log, &mut frame)? {
            sum = add(add(sum, &frame[..8], order), &frame[FRAME..], order);
            if frame[8..16] != head[16..24] || sum != sum_at(&frame, 16) {
                break;
            }
            let number = word(&frame, 0, u32::from_be_bytes);
            open.pages.insert(number);
            if number == 1 {
                let counter = word(&frame, FRAME + 24, u32::from_be_bytes);
                let first = open.counters.map_or(counter, |(first, _)| first);
                open.counters = Some((first, counter));
            }
            let count = word(&frame, 4, u32::from_be_bytes);
            if count > 0 {
                whole.take(&mut open, count);
            }
        }
        Ok((whole.count > 0).then_some(whole))
    }

    /// Adds a complete transaction.
    fn take(&mut self, open: &mut Self, count: u32) {
        self.count = count;
        self.pages.extend(open.pages.drain());
        if let Some((first, last)) = open.counters.take() {
            self.counters = Some((self.counters.map_or(first, |(first, _)| first), last));
        }
    }
}

/// Reads until the buffer is full; `false` at an early end.
fn filled(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn word(bytes: &[u8], at: usize, order: fn([u8; 4]) -> u32) -> u32 {
    bytes.get(at..at + 4).and_then(|it| it.try_into().ok()).map_or(0, order)
}

fn sum_at(bytes: &[u8], at: usize) -> (u32, u32) {
    (word(bytes, at, u32::from_be_bytes), word(bytes, at + 4, u32::from_be_bytes))
}

/// SQLite's checksum of a log, continued.
fn add(sum: (u32, u32), bytes: &[u8], order: fn([u8; 4]) -> u32) -> (u32, u32) {
    bytes.chunks_exact(8).fold(sum, |(a, b), pair| {
        let a = a.wrapping_add(word(pair, 0, order)).wrapping_add(b);
        (a, b.wrapping_add(word(pair, 4, order)).wrapping_add(a))
    })
}
