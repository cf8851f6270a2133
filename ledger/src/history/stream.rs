//! A named stream, read as a chain by its events' envelopes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{HistoryError, HistoryFault};
use crate::chain::Hash;
use crate::checkpoint::Head;
use crate::id::PartitionKey;
use crate::idempotency::RepeatableCommand;
use crate::record::{CommandId, EventRecord, RecordError, StoredLine, Unknown};

/// The events of a named stream that were read so far: complete, and a chain.
#[derive(Debug, Clone)]
pub struct StreamChain {
    head: Head,
    last: Option<DateTime<Utc>>,
    commands: HashMap<CommandId, u64>,
}

impl StreamChain {
    /// The stream before its first event.
    #[must_use]
    pub fn new(key: PartitionKey) -> Self {
        let head = Head { key, version: 0, hash: Hash::ZERO };
        Self { head, last: None, commands: HashMap::new() }
    }

    /// The head of the stream with these lines.
    pub fn read(key: &PartitionKey, lines: &[StoredLine]) -> Result<Head, HistoryError> {
        let mut chain = Self::new(key.clone());
        for line in lines {
            let version = line.version;
            chain.push(line).map_err(|fault| HistoryError { version, fault })?;
        }
        Ok(chain.head)
    }

    /// Reads the next event. After a fault, no further event can be read.
    pub fn push(&mut self, line: &StoredLine) -> Result<(), HistoryFault> {
        let Unknown { version, at, command, .. } = self.follows(line)?;
        if self.last.is_some_and(|last| at <= last) {
            return Err(HistoryFault::NotLater);
        }
        if let Some(earlier) = self.commands.insert(command, version) {
            return Err(HistoryFault::Twice(earlier));
        }
        self.last = Some(at);
        (self.head.version, self.head.hash) = (version, line.hash());
        Ok(())
    }

    /// The version of the event with this command.
    #[must_use]
    pub fn version_of(&self, command: &CommandId) -> Option<u64> {
        self.commands.get(command).copied()
    }

    /// Whether an event has the idempotency key of this command, with any request.
    #[must_use]
    pub fn has_key_of(&self, command: &RepeatableCommand) -> bool {
        self.commands.keys().any(|recorded| command.has_key_of(recorded))
    }

    /// An event's envelope, if it is the next one.
    fn follows(&self, line: &StoredLine) -> Result<Unknown, HistoryFault> {
        let (head, expected) = (&self.head, self.head.version + 1);
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
}
