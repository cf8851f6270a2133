//! An asset's history, read from its stored lines and checked as a chain.

mod stream;

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};

pub use self::stream::StreamChain;
use crate::access::ImpossibleAccess;
use crate::asset::{Asset, ImpossibleEvent, NewHead};
use crate::chain::Hash;
use crate::id::Key;
use crate::idempotency::RepeatableCommand;
use crate::record::{
    CommandId, EventRecord, FoldEvent, FoldReader, RecordError, StoredLine, subject,
};

/// Up to this many events a command is searched for linearly. This needs no memory, and most
/// histories are shorter.
const FEW: usize = 64;

/// One event of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The event as read.
    pub record: EventRecord,
    /// The event as stored.
    pub line: StoredLine,
    /// The event's id.
    pub hash: Hash,
}

/// All events of one asset, complete and in order.
#[derive(Debug, Clone)]
pub struct History {
    entries: Vec<Entry>,
    asset: Asset,
}

/// The first stored line that breaks the asset's history.
#[derive(Debug, thiserror::Error)]
#[error("version {version}: {fault}")]
pub struct HistoryError {
    /// The version at which the fault is found.
    pub version: u64,
    /// The fault.
    pub fault: HistoryFault,
}

/// A fault of a stored line.
#[derive(Debug, thiserror::Error)]
pub enum HistoryFault {
    /// The bytes are not an event.
    #[error("{0}")]
    Malformed(#[from] RecordError),
    /// The bytes name another asset or version than the key they are stored under.
    #[error("it says that it is version {version} of {asset}")]
    Elsewhere {
        /// The partition that the bytes name.
        asset: String,
        /// The version that the bytes name.
        version: u64,
    },
    /// A version is missing before this one.
    #[error("version {expected} is missing")]
    Gap {
        /// The version that is missing.
        expected: u64,
    },
    /// The event's `prev` is not the hash of the previous event.
    #[error("it follows {prev}, but the event before it is {expected}")]
    Unchained {
        /// The event's `prev`.
        prev: Hash,
        /// The hash of the previous event.
        expected: Hash,
    },
    /// The event is not later than the previous one.
    #[error("it is not later than the event before it")]
    NotLater,
    /// A command was recorded twice.
    #[error("its command was recorded before, at version {0}")]
    Twice(u64),
    /// No version of this program could have written the event.
    #[error("{0}")]
    Impossible(#[from] ImpossibleEvent),
    /// The same, of an event of a tenant's access.
    #[error("{0}")]
    ImpossibleAccess(#[from] ImpossibleAccess),
}

impl HistoryError {
    /// Whether this program is too old to read the event: its type, schema or source is unknown,
    /// and it correctly follows a sound event.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.fault, HistoryFault::Malformed(RecordError::Unknown(_)))
    }
}

/// Reads a history line by line, so that a caller can pause in a long one.
pub(crate) struct HistoryReader<'a> {
    key: &'a Key,
    history: Option<History>,
    commands: Commands,
}

impl<'a> HistoryReader<'a> {
    pub(crate) fn new(key: &'a Key) -> Self {
        Self { key, history: None, commands: Commands::default() }
    }

    /// Reads the next line. After an error, no further line can be read.
    pub(crate) fn push(&mut self, line: StoredLine) -> Result<(), HistoryError> {
        let version = line.version;
        let commands = &mut self.commands;
        let earlier = |read: &History, command: &CommandId| commands.find(&read.entries, command);
        let history = self.history.take();
        let grown = match EventRecord::read_under(self.key, &line.body) {
            Ok(record) => History::grow(history, self.key, record, line, earlier),
            Err(malformed) => {
                Err(unread(malformed, history.as_ref().map(History::asset), self.key, &line))
            }
        };
        self.history = Some(grown.map_err(|fault| HistoryError { version, fault })?);
        Ok(())
    }

    pub(crate) fn finish(self) -> Option<History> {
        self.history
    }
}

impl History {
    /// Reads the lines stored under `key`; `None` for no lines.
    pub fn read(key: &Key, lines: Vec<StoredLine>) -> Result<Option<Self>, HistoryError> {
        let mut reader = HistoryReader::new(key);
        for line in lines {
            reader.push(line)?;
        }
        Ok(reader.finish())
    }

    /// The history with one more event; `earlier` finds the version that has a command already.
    fn grow(
        history: Option<Self>,
        key: &Key,
        record: EventRecord,
        line: StoredLine,
        earlier: impl FnOnce(&Self, &CommandId) -> Option<u64>,
    ) -> Result<Self, HistoryFault> {
        let entry = Entry { record, hash: line.hash(), line };
        let Some(mut history) = history else {
            let asset = begin(key, &entry.record, &entry.line, entry.hash)?;
            return Ok(Self { entries: vec![entry], asset });
        };
        let twice = earlier(&history, &entry.record.cause.command);
        follow(&mut history.asset, key, &entry.record, &entry.line, entry.hash, twice)?;
        history.entries.push(entry);
        Ok(history)
    }

    /// The history with the next event, whose `line` is made of `record`. The checks are those of a
    /// stored line. Reading the line again is not one of them: every record within its limits is
    /// read back as it was, which a property test shows for all of them.
    pub fn recorded(
        history: Option<Self>,
        record: EventRecord,
        line: StoredLine,
    ) -> Result<Self, HistoryError> {
        debug_assert_eq!(EventRecord::read(&line.body).ok().as_ref(), Some(&record));
        let (version, key) = (line.version, record.key.clone());
        let key = history.as_ref().map_or(key, |history| history.asset.key.clone());
        let earlier =
            |read: &Self, command: &CommandId| Some(read.by_command(command)?.record.version);
        Self::grow(history, &key, record, line, earlier)
            .map_err(|fault| HistoryError { version, fault })
    }

    /// The asset that the history folds to.
    #[must_use]
    pub fn asset(&self) -> &Asset {
        &self.asset
    }

    /// The events, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The event with this command.
    #[must_use]
    pub fn by_command(&self, command: &CommandId) -> Option<&Entry> {
        search(&self.entries, command)
    }

    /// Whether an event has the idempotency key of this command, with any request.
    #[must_use]
    pub fn has_key_of(&self, command: &RepeatableCommand) -> bool {
        self.entries.iter().any(|entry| command.has_key_of(&entry.record.cause.command))
    }

    /// Whether the event at this version has this hash.
    #[must_use]
    pub fn has(&self, version: u64, hash: Hash) -> bool {
        let place = version.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        let entry = place.and_then(|place| self.entries.get(place));
        entry.is_some_and(|entry| entry.hash == hash)
    }

    /// The asset after its first `version` events.
    #[must_use]
    pub fn at_version(&self, version: u64) -> Option<Asset> {
        let count =
            usize::try_from(version).ok().filter(|n| (1..=self.entries.len()).contains(n))?;
        fold(&self.asset.key, &self.entries[..count]).ok()
    }

    /// The asset at a point in time, including that point.
    #[must_use]
    pub fn as_of(&self, at: DateTime<Utc>) -> Option<Asset> {
        self.at_version(self.count_until(at) as u64)
    }

    /// The asset at a point in time, if it existed then, and after each later event.
    pub fn since(&self, at: DateTime<Utc>) -> impl Iterator<Item = Option<Asset>> {
        let (before, later) = self.entries.split_at(self.count_until(at));
        let then = if later.is_empty() {
            Some(self.asset.clone())
        } else {
            fold(&self.asset.key, before).ok()
        };
        let grow = |asset: &mut Option<Asset>, entry: &Entry| {
            *asset = match asset.take() {
                None => Asset::begin(self.asset.key.clone(), &entry.record, entry.hash).ok(),
                Some(mut asset) => asset.apply(&entry.record, entry.hash).ok().map(|()| asset),
            };
            Some(asset.clone())
        };
        std::iter::once(then.clone()).chain(later.iter().scan(then, grow))
    }

    fn count_until(&self, at: DateTime<Utc>) -> usize {
        self.entries.partition_point(|entry| entry.record.at <= at)
    }
}

/// The asset that lines fold to, after the checks of [`History::read`]. No event is kept.
pub fn fold_lines(key: &Key, lines: &[StoredLine]) -> Result<Option<Asset>, HistoryError> {
    let reader = FoldReader::new(key);
    fold_read(key, lines, |body| reader.read(body))
}

/// The same, with events as `read` reads them.
pub(crate) fn fold_read<'a>(
    key: &Key,
    lines: &'a [StoredLine],
    mut read: impl FnMut(&'a str) -> Result<FoldEvent<'a>, RecordError>,
) -> Result<Option<Asset>, HistoryError> {
    let (mut folded, mut indexed) = (None::<Asset>, HashMap::new());
    let mut linear = Vec::with_capacity(lines.len().min(FEW));
    for line in lines {
        let hash = line.hash();
        let mut step = || -> Result<(), HistoryFault> {
            let read = read(&line.body)
                .map_err(|malformed| unread(malformed, folded.as_ref(), key, line))?;
            let FoldEvent { elsewhere, version, event, actor, command, at, prev } = read;
            let said = elsewhere.as_ref().unwrap_or(key);
            let place = ClaimedPosition { key: said, version, prev, stored: line.version };
            let head = NewHead { version, hash, at };
            match &mut folded {
                None => {
                    place.check(key, 1, Hash::ZERO)?;
                    let asset = Asset::begin_with(key.clone(), event, subject(&actor), head)?;
                    folded = Some(asset);
                }
                Some(asset) => {
                    let same = |(known, _): &&(Cow<'_, str>, u64)| *known == command;
                    let twice = linear.iter().find(same).map(|(_, version)| *version);
                    let twice = twice.or_else(|| indexed.get(&command).copied());
                    place.check_after(asset, key, at, twice)?;
                    asset.apply_with(event, head)?;
                }
            }
            if linear.len() == FEW {
                indexed.extend(linear.drain(..));
            }
            linear.push((command, version));
            Ok(())
        };
        step().map_err(|fault| HistoryError { version: line.version, fault })?;
    }
    Ok(folded)
}

/// The asset after its first event.
fn begin(
    key: &Key,
    record: &EventRecord,
    line: &StoredLine,
    hash: Hash,
) -> Result<Asset, HistoryFault> {
    ClaimedPosition::of(record, line).check(key, 1, Hash::ZERO)?;
    Ok(Asset::begin(key.clone(), record, hash)?)
}

/// Folds the next event; `twice` is the version that has its command already.
fn follow(
    asset: &mut Asset,
    key: &Key,
    record: &EventRecord,
    line: &StoredLine,
    hash: Hash,
    twice: Option<u64>,
) -> Result<(), HistoryFault> {
    ClaimedPosition::of(record, line).check_after(asset, key, record.at, twice)?;
    Ok(asset.apply(record, hash)?)
}

/// The commands of a history during reading. It is empty for few events. For more events it is an
/// index, because a linear search for every event makes long histories slow.
#[derive(Default)]
struct Commands(HashMap<CommandId, u64>);

impl Commands {
    /// The version among `entries` that has this command. `entries` contains those of the previous
    /// call and possibly more.
    fn find(&mut self, entries: &[Entry], command: &CommandId) -> Option<u64> {
        if entries.len() <= FEW {
            return search(entries, command).map(|entry| entry.record.version);
        }
        // Commands are unique here, so the index has as many entries as were read.
        for entry in &entries[self.0.len()..] {
            self.0.insert(entry.record.cause.command.clone(), entry.record.version);
        }
        self.0.get(command).copied()
    }
}

fn search<'a>(entries: &'a [Entry], command: &CommandId) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.record.cause.command == *command)
}

/// Folds events, oldest first, into an asset.
fn fold(key: &Key, entries: &[Entry]) -> Result<Asset, ImpossibleEvent> {
    let [first, rest @ ..] = entries else {
        return Err(ImpossibleEvent { event: "nothing", status: "not created" });
    };
    let mut asset = Asset::begin(key.clone(), &first.record, first.hash)?;
    rest.iter().try_for_each(|entry| asset.apply(&entry.record, entry.hash))?;
    Ok(asset)
}

/// Why a line cannot be read. An event of a newer program must still be at the position that it
/// names. Otherwise it is not an event of that program.
fn unread(
    malformed: RecordError,
    asset: Option<&Asset>,
    key: &Key,
    line: &StoredLine,
) -> HistoryFault {
    let RecordError::Unknown(unknown) = &malformed else { return malformed.into() };
    let (version, prev) = asset.map_or((0, Hash::ZERO), |it| (it.version, it.head));
    let Some(said) = &unknown.key.asset() else {
        return HistoryFault::Elsewhere {
            asset: unknown.key.partition(),
            version: unknown.version,
        };
    };
    let place = ClaimedPosition {
        key: said,
        version: unknown.version,
        prev: unknown.prev,
        stored: line.version,
    };
    place.check(key, version + 1, prev).err().unwrap_or_else(|| malformed.into())
}

/// The position that an event names, and the version under which it is stored.
struct ClaimedPosition<'a> {
    key: &'a Key,
    version: u64,
    prev: Hash,
    stored: u64,
}

impl<'a> ClaimedPosition<'a> {
    fn of(record: &'a EventRecord, line: &StoredLine) -> Self {
        Self { key: &record.key, version: record.version, prev: record.prev, stored: line.version }
    }

    fn check(&self, key: &Key, expected: u64, prev: Hash) -> Result<(), HistoryFault> {
        if self.key != key || self.version != self.stored {
            let asset = self.key.partition();
            return Err(HistoryFault::Elsewhere { asset, version: self.version });
        }
        if self.version != expected {
            return Err(HistoryFault::Gap { expected });
        }
        if self.prev != prev {
            return Err(HistoryFault::Unchained { prev: self.prev, expected: prev });
        }
        Ok(())
    }

    /// Whether it is the next one after an asset's events, later than those, and of a new command;
    /// `twice` is the version that has the command already.
    fn check_after(
        &self,
        asset: &Asset,
        key: &Key,
        at: DateTime<Utc>,
        twice: Option<u64>,
    ) -> Result<(), HistoryFault> {
        self.check(key, asset.version + 1, asset.head)?;
        if at <= asset.updated_at {
            return Err(HistoryFault::NotLater);
        }
        twice.map_or(Ok(()), |earlier| Err(HistoryFault::Twice(earlier)))
    }
}
