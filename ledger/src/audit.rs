//! Audits of stored histories: every fault is named, not only the first.
//!
//! # What is trusted
//!
//! The hash of an event is confirmed by the `prev` of the next event. The hash of the last event is
//! confirmed by a row or a checkpoint ([`ExpectedHeads`]). The names of faults follow from this:
//!
//! | In the store | Name |
//! |---|---|
//! | the next event's `prev` is not the hash of this one | `edited` |
//! | it names another version or asset, but follows the previous one | `edited` |
//! | versions are missing before it | `deleted` |
//! | the next event follows the event before this one | `inserted` |
//! | it is a duplicate, or follows no event | `inserted` |
//! | it and another event have exchanged their places | `swapped` |
//! | it follows, but is stored under another version | `moved` |
//! | it follows an earlier event, as another one does | `forked` |
//! | it names another asset | `copied` |
//! | a row or checkpoint has a later version than the last | `truncated` |
//! | a checkpoint has another hash, but its neighbours do not | `rewritten` |
//! | it is unreadable, and there is no proof that it was readable | `malformed` |
//! | its type is unknown, and it is linked with its neighbours | `unknown-type` |
//! | it is sound, but not later than the previous one | `not-later` |
//! | it is sound, but its command was recorded before | `command-twice` |
//! | it is sound, but impossible in the asset's state | `impossible` |
//!
//! In addition, [`odd`] reports readable events that the ledger would not have written in this
//! form: `odd-spelling` and `over-limit`.
//!
//! If an event and the next one disagree and the next one is itself edited, there may have been one
//! edit or two. If undoing only the next one's link restores its expected hash, that was the edit.
//! Otherwise both are reported.
//!
//! # Named streams
//!
//! The partition of a named stream is examined in the same way. Of a tenant's access the data is
//! read too. Of any other stream it is not, so no type is unknown and no event is impossible.
//!
//! # What is not detected
//!
//! A chain does not protect its own end: an edited or deleted last event is detected only with a
//! row or a checkpoint, and a history that was rewritten as a whole only with a checkpoint.
//! [`examine`] has findings for every history that [`History::read`] refuses. For other histories
//! it has findings only if a row or a checkpoint differs.

mod finding;
mod forensic;
mod form;
mod semantics;
mod stored_event;
#[cfg(test)]
mod tests;

pub use finding::{Finding, FindingKind};
pub use form::odd;

use crate::access::AccessHistory;
use crate::asset::Asset;
use crate::chain::Hash;
use crate::checkpoint::Head;
use crate::history::{History, HistoryError, HistoryFault, StreamChain, fold_read};
use crate::id::{AccessStream, Key, PartitionKey, StreamKey};
use crate::journal::scan::Chain;
use crate::record::{FoldReader, RecordError, StoredLine, UrlRecord};
use crate::url_log::UrlLogStream;

/// A version of a history as known from another source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedHeads {
    /// A version.
    pub version: u64,
    /// The hash of its event.
    pub hash: Hash,
    /// The source.
    pub by: Witness,
}

/// A source that knows a version of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The asset's row: it can be altered as easily as an event, but rarely together with it.
    Row,
    /// A checkpoint that is stored elsewhere.
    Checkpoint,
}

impl Witness {
    fn name(self) -> &'static str {
        match self {
            Self::Row => "its row",
            Self::Checkpoint => "the checkpoint",
        }
    }
}

/// The result of an examination.
#[derive(Debug, Clone)]
pub struct Examination {
    /// The asset's history, if it is complete and a chain, without regard to other sources.
    pub history: Option<History>,
    /// The head of that history, or of a named stream that is complete and a chain.
    pub head: Option<Head>,
    /// Everything that differs from what the ledger wrote, in the order of the versions.
    pub findings: Vec<Finding>,
}

/// The faults of a history by itself.
#[must_use]
pub fn examine(chain: &Chain) -> Vec<Finding> {
    examine_with(chain, &[]).findings
}

/// The asset of a history that [`inspect_with`] has no finding about; `None` if it may have one.
#[must_use]
pub fn sound(key: &Key, chain: &Chain) -> Option<Asset> {
    if !chain.strays.is_empty() {
        return None;
    }
    let mut exact = true;
    let reader = FoldReader::new(key);
    let folded = fold_read(key, &chain.lines, |body| {
        let (event, exactly) = reader.read_exactly(body)?;
        exact &= exactly;
        Ok(event)
    });
    folded.ok().flatten().filter(|_| exact)
}

/// The faults of a history, also compared with other sources.
#[must_use]
pub fn examine_with(chain: &Chain, known: &[ExpectedHeads]) -> Examination {
    let (history, head, broken) = match (chain.key(), chain.stream()) {
        (Some(key), _) => match History::read(&key, chain.lines.clone()) {
            Ok(history) => {
                let head = history.as_ref().map(|history| Head::of(history.asset()));
                (history, head, None)
            }
            Err(broken) => (None, None, Some(broken)),
        },
        (None, Some(stream)) => match of_stream(&stream, &chain.lines) {
            Ok(head) => (None, Some(head), None),
            Err(broken) => (None, None, Some(broken)),
        },
        (None, None) => {
            let findings = vec![no_asset(chain)];
            return Examination { history: None, head: None, findings };
        }
    };
    let whole = broken.is_none() && chain.strays.is_empty();
    if whole && known.iter().all(|known| agrees(chain, head.as_ref(), known)) {
        return Examination { history, head, findings: Vec::new() };
    }
    let mut findings = forensic::examine(chain, known);
    if let (Some(broken), true) = (&broken, findings.is_empty()) {
        findings.push(plain(&chain.partition, broken));
    }
    let (history, head) = (history.filter(|_| whole), head.filter(|_| whole));
    Examination { history, head, findings }
}

/// The head of a named stream that is complete and a chain. A tenant's access, and its access log,
/// must also be readable.
fn of_stream(stream: &PartitionKey, lines: &[StoredLine]) -> Result<Head, HistoryError> {
    let head = StreamChain::read(stream, lines)?;
    if let Some(AccessStream(tenant)) = AccessStream::of(stream) {
        AccessHistory::read(&tenant, lines.to_vec())?;
    }
    if UrlLogStream::of(stream).is_some() {
        for StoredLine { version, body } in lines {
            let broken =
                |fault: RecordError| HistoryError { version: *version, fault: fault.into() };
            UrlRecord::read_line(body).map_err(broken)?;
        }
    }
    Ok(head)
}

fn agrees(chain: &Chain, head: Option<&Head>, known: &ExpectedHeads) -> bool {
    // The head is the usual one, and its hash is known.
    if let Some(head) = head.filter(|head| head.version == known.version) {
        return head.hash == known.hash;
    }
    let place = usize::try_from(known.version).ok().and_then(|version| version.checked_sub(1));
    let line = place.and_then(|place| chain.lines.get(place));
    line.is_some_and(|line| line.hash() == known.hash)
}

fn no_asset(chain: &Chain) -> Finding {
    let count = chain.lines.len() + chain.strays.len();
    let says = format!("this partition is no asset's, but holds {count} items");
    Finding::new(FindingKind::Malformed, &chain.partition, says)
}

/// The same, and the readable events that the ledger would not have written in this form: for
/// exports from elsewhere, and for exports to be checked elsewhere.
#[must_use]
pub fn inspect_with(chain: &Chain, known: &[ExpectedHeads]) -> Examination {
    let mut examined = examine_with(chain, known);
    examined.findings.extend(odd(chain));
    examined.findings.sort_by_key(|finding| finding.version);
    examined
}

/// The head and the findings of [`inspect_with`]. The lines of a sound history are parsed once.
#[must_use]
pub fn inspect_head(chain: &Chain, known: &[ExpectedHeads]) -> (Option<Head>, Vec<Finding>) {
    let asset = chain.key().and_then(|key| sound(&key, chain));
    let head = asset.map(|asset| Head::of(&asset));
    if head.is_some() && known.iter().all(|known| agrees(chain, head.as_ref(), known)) {
        return (head, Vec::new());
    }
    let Examination { head, findings, .. } = inspect_with(chain, known);
    (head, findings)
}

/// The fault that stopped the reading, by a name that is certainly correct.
fn plain(partition: &str, HistoryError { version, fault }: &HistoryError) -> Finding {
    let kind = match fault {
        HistoryFault::Malformed(RecordError::Unknown(_)) => FindingKind::UnknownType,
        HistoryFault::Malformed(RecordError::Form(_)) => FindingKind::Malformed,
        HistoryFault::Elsewhere { .. } => FindingKind::Moved,
        HistoryFault::Gap { .. } => FindingKind::Deleted,
        HistoryFault::Unchained { .. } => FindingKind::Edited,
        HistoryFault::NotLater => FindingKind::NotLater,
        HistoryFault::Twice(_) => FindingKind::CommandTwice,
        HistoryFault::Impossible(_) | HistoryFault::ImpossibleAccess(_) => FindingKind::Impossible,
    };
    Finding::new(kind, partition, fault.to_string()).at(*version)
}
