//! Audits of histories as they are stored: every fault named, not only the first.
//!
//! # What is believed
//!
//! An event is named by the one after it, whose `prev` is its hash, and the last by whoever else
//! remembers it: a row, or a checkpoint ([`ExpectedHeads`]). From this follows what a fault is
//! called:
//!
//! | In the store | Its name |
//! |---|---|
//! | the next event names another hash than this one's | `edited` |
//! | it says another version or asset, but follows the one before it | `edited` |
//! | versions are missing before it | `deleted` |
//! | the next event follows the one before this one | `inserted` |
//! | it is there already, or nothing that it could follow | `inserted` |
//! | its place is another's, whose place is its | `swapped` |
//! | it follows, but is stored under another version | `moved` |
//! | it follows an earlier event, as another one does | `forked` |
//! | it says that it is another asset's | `copied` |
//! | somebody remembers a later version than the last | `truncated` |
//! | a checkpoint remembers another hash, but its neighbours do not | `rewritten` |
//! | it cannot be read, and nothing shows that it ever could | `malformed` |
//! | its type is not known, and it hangs together with its neighbours | `unknown-type` |
//! | it is sound, but not later than the one before it | `not-later` |
//! | it is sound, but its command was recorded before | `command-twice` |
//! | it is sound, but cannot happen to what the asset was | `impossible` |
//!
//! Beside that, [`odd`] names events that can be read, but that the ledger would not have written
//! so: `odd-spelling` and `over-limit`.
//!
//! Where an event and the one after it disagree and the later one is itself edited, there may
//! have been one edit or two. If undoing the later one's link alone gives back the hash that it
//! should have, that was the edit; if not, both are named.
//!
//! # Named streams
//!
//! A partition that holds the events of a named stream is examined in the same way, by the
//! envelopes alone: what an event holds is not read, so no type is unknown and nothing is
//! impossible.
//!
//! # What cannot be seen
//!
//! A chain shows nothing of its own end: a last event that was edited or deleted is seen only by
//! who remembers it, and a history that was rewritten as a whole only by a checkpoint.
//! [`examine`] finds something in every history that [`History::read`] refuses, and in no other
//! unless somebody remembers it otherwise.

mod finding;
mod forensic;
mod form;
mod semantics;
mod stored_event;
mod stream;
#[cfg(test)]
mod tests;

pub use finding::{Finding, FindingKind};
pub use form::odd;

use crate::chain::Hash;
use crate::checkpoint::Head;
use crate::history::{History, HistoryError, HistoryFault};
use crate::journal::scan::Chain;
use crate::record::RecordError;

/// What somebody else remembers of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedHeads {
    /// A version.
    pub version: u64,
    /// The hash of its event.
    pub hash: Hash,
    /// Who remembers it.
    pub by: Witness,
}

/// Who remembers a version of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The asset's row: it can be altered as easily as an event, but seldom is along with it.
    Row,
    /// A checkpoint that was kept elsewhere.
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

/// What an examination found.
#[derive(Debug, Clone)]
pub struct Examination {
    /// The asset's history, if it is whole and a chain. What somebody else remembers does not count
    /// here.
    pub history: Option<History>,
    /// The head of that history, or of a named stream that is whole and a chain.
    pub head: Option<Head>,
    /// Everything that is not as the ledger left it, in the order of the versions.
    pub findings: Vec<Finding>,
}

/// Everything that is wrong with a history by itself.
#[must_use]
pub fn examine(chain: &Chain) -> Vec<Finding> {
    examine_with(chain, &[]).findings
}

/// Everything that is wrong with a history, also in the light of what others remember of it.
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
        (None, Some(stream)) => match stream::read(&stream, &chain.lines) {
            Ok(head) => (None, Some(head), None),
            Err(broken) => (None, None, Some(broken)),
        },
        (None, None) => {
            let findings = vec![no_asset(chain)];
            return Examination { history: None, head: None, findings };
        }
    };
    let whole = broken.is_none() && chain.strays.is_empty();
    if whole && known.iter().all(|known| agrees(chain, known)) {
        return Examination { history, head, findings: Vec::new() };
    }
    let mut findings = forensic::examine(chain, known);
    if let (Some(broken), true) = (&broken, findings.is_empty()) {
        findings.push(plain(&chain.partition, broken));
    }
    let (history, head) = (history.filter(|_| whole), head.filter(|_| whole));
    Examination { history, head, findings }
}

fn agrees(chain: &Chain, known: &ExpectedHeads) -> bool {
    let place = usize::try_from(known.version).ok().and_then(|version| version.checked_sub(1));
    let line = place.and_then(|place| chain.lines.get(place));
    line.is_some_and(|line| line.hash() == known.hash)
}

fn no_asset(chain: &Chain) -> Finding {
    let count = chain.lines.len() + chain.strays.len();
    let says = format!("this partition is no asset's, but holds {count} items");
    Finding::new(FindingKind::Malformed, &chain.partition, says)
}

/// The same, and what of the history the ledger would not have written so: for whoever checks
/// what others kept, or hands it on to be checked.
#[must_use]
pub fn inspect_with(chain: &Chain, known: &[ExpectedHeads]) -> Examination {
    let mut examined = examine_with(chain, known);
    examined.findings.extend(odd(chain));
    examined.findings.sort_by_key(|finding| finding.version);
    examined
}

/// The fault that stopped the reading, by the name that is surely right.
fn plain(partition: &str, HistoryError { version, fault }: &HistoryError) -> Finding {
    let kind = match fault {
        HistoryFault::Malformed(RecordError::Unknown(_)) => FindingKind::UnknownType,
        HistoryFault::Malformed(RecordError::Form(_)) => FindingKind::Malformed,
        HistoryFault::Elsewhere { .. } => FindingKind::Moved,
        HistoryFault::Gap { .. } => FindingKind::Deleted,
        HistoryFault::Unchained { .. } => FindingKind::Edited,
        HistoryFault::NotLater => FindingKind::NotLater,
        HistoryFault::Twice(_) => FindingKind::CommandTwice,
        HistoryFault::Impossible(_) => FindingKind::Impossible,
    };
    Finding::new(kind, partition, fault.to_string()).at(*version)
}
