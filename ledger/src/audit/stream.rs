//! A named stream, read as a chain by its events' envelopes.

use std::collections::BTreeMap;

use crate::chain::Hash;
use crate::checkpoint::Head;
use crate::history::{HistoryError, HistoryFault};
use crate::id::PartitionKey;
use crate::record::{EventRecord, RecordError, StoredLine, Unknown};

/// The head of the stream with these lines, if they are complete and a chain; otherwise the first
/// fault.
pub(super) fn read(key: &PartitionKey, lines: &[StoredLine]) -> Result<Head, HistoryError> {
    let (mut head, mut last) = (Head { key: key.clone(), version: 0, hash: Hash::ZERO }, None);
    let mut commands = BTreeMap::new();
    for line in lines {
        let fault = |fault| HistoryError { version: line.version, fault };
        let Unknown { version, at, command, .. } = follows(line, &head).map_err(fault)?;
        if last.is_some_and(|last| at <= last) {
            return Err(fault(HistoryFault::NotLater));
        }
        if let Some(earlier) = commands.insert(command.as_str().to_owned(), version) {
            return Err(fault(HistoryFault::Twice(earlier)));
        }
        last = Some(at);
        (head.version, head.hash) = (version, line.hash());
    }
    Ok(head)
}

/// An event's envelope, if it is the next after `head`.
fn follows(line: &StoredLine, head: &Head) -> Result<Unknown, HistoryFault> {
    let expected = head.version + 1;
    let event = match EventRecord::read(&line.body) {
        Err(RecordError::Unknown(event)) => *event,
        Err(malformed) => return Err(malformed.into()),
        Ok(EventRecord { key, version, .. }) => {
            return Err(HistoryFault::Elsewhere { asset: key.partition(), version });
        }
    };
    if event.key != head.key || event.version != line.version {
        let asset = event.key.partition();
        return Err(HistoryFault::Elsewhere { asset, version: event.version });
    }
    if event.version != expected {
        return Err(HistoryFault::Gap { expected });
    }
    if event.prev != head.hash {
        return Err(HistoryFault::Unchained { prev: event.prev, expected: head.hash });
    }
    Ok(event)
}
