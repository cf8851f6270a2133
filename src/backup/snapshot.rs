//! The journal and the list of objects as of one moment, while others write to both.
//!
//! A version is listed before the journal has it, and a purge is in the journal before a version
//! leaves the list. So the list is locked for the moment in which both are pinned: the list then
//! has every version of the journal, and any other listed version has its notification in the same
//! file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use ledger::asset::AssetStatus;
use ledger::audit::examine;
use ledger::chain::Hash;
use ledger::history::History;
use ledger::id::Key;
use ledger::journal::scan::Chain;
use ledger::record::StoredLine;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::RunMonitor;
use crate::s3::drafts_of;

/// How long to wait for a writer.
const BUSY: Duration = Duration::from_secs(30);
/// Pages copied between two checks of the stop signal: 4 MiB.
const PAGES: i32 = 1024;
/// Versions read from the list at a time.
const LISTED: usize = 1000;

/// Both files, pinned.
pub(super) struct Snapshot {
    journal: Connection,
    objects: Connection,
}

/// A version with bytes.
pub(super) struct BackedUpVersion {
    pub(super) id: String,
    pub(super) size: u64,
    pub(super) sha256: Hash,
}

/// Facts from a journal.
#[derive(Default)]
pub(super) struct JournalFacts {
    pub(super) events: u64,
    /// Histories that do not verify, by their partitions.
    pub(super) broken: Vec<String>,
    /// The pinned versions of all assets.
    pub(super) pinned: BTreeSet<String>,
}

impl Snapshot {
    /// Pins both files of the folder at `data` at one moment.
    pub(super) fn pin(data: &Path) -> anyhow::Result<Self> {
        let (journal, list) = (data.join("journal.sqlite"), data.join("s3/objects.sqlite"));
        let (journal, objects) = (open(&journal)?, open(&list)?);
        let still = open(&list)?;
        still.execute_batch("BEGIN IMMEDIATE").context("the list of objects is locked")?;
        for file in [&journal, &objects] {
            file.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")?;
        }
        still.execute_batch("ROLLBACK")?;
        Ok(Self { journal, objects })
    }

    /// The pinned list of objects.
    pub(super) fn list(&self) -> &Connection {
        &self.objects
    }

    /// Copies both.
    pub(super) fn copy(
        &self,
        journal: &Path,
        list: &Path,
        watch: &RunMonitor,
    ) -> anyhow::Result<()> {
        for (from, to) in [(&self.journal, journal), (&self.objects, list)] {
            copy(from, to, watch).with_context(|| to.display().to_string())?;
        }
        Ok(())
    }
}

fn copy(from: &Connection, to: &Path, watch: &RunMonitor) -> anyhow::Result<()> {
    drop(super::copy::private(to)?);
    let mut target = Connection::open(to)?;
    {
        let backup = Backup::new(from, &mut target)?;
        loop {
            watch.go_on()?;
            match backup.step(PAGES)? {
                StepResult::Done => break,
                StepResult::More => {}
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
    let sound: String = target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        bail!("the copy is damaged: {sound}");
    }
    // One file, without a log beside it.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    target.close().map_err(|(_, error)| error)?;
    Ok(std::fs::File::open(to)?.sync_all()?)
}

/// An existing database, of any form.
pub(super) fn open(path: &Path) -> anyhow::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags);
    let file = opened.with_context(|| format!("{} cannot be opened", path.display()))?;
    file.busy_timeout(BUSY)?;
    Ok(file)
}

/// Every version with bytes in a list, in the order of their ids.
pub(super) fn each_listed(
    list: &Connection,
    mut each: impl FnMut(BackedUpVersion) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let sql = "SELECT version_id, size, sha256 FROM versions
               WHERE version_id > ?1 AND size IS NOT NULL ORDER BY version_id LIMIT ?2";
    let mut after = String::new();
    loop {
        let mut select = list.prepare_cached(sql)?;
        let page = select.query_map(params![after, LISTED], listed)?;
        let page = page.collect::<rusqlite::Result<Vec<_>>>()?;
        let Some(newest) = page.last() else { return Ok(()) };
        after.clone_from(&newest.id);
        page.into_iter().try_for_each(&mut each)?;
    }
}

fn listed(row: &Row<'_>) -> rusqlite::Result<BackedUpVersion> {
    let sha256: [u8; 32] = row.get(2)?;
    Ok(BackedUpVersion { id: row.get(0)?, size: row.get(1)?, sha256: Hash::from(sha256) })
}

/// The notifications in a list that were not delivered yet.
pub(super) fn waiting(list: &Path) -> anyhow::Result<Vec<String>> {
    let list = open(list)?;
    let mut select = list.prepare("SELECT event FROM outbox WHERE dead IS NULL ORDER BY change")?;
    Ok(select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Whether a version is listed.
pub(super) fn is_listed(list: &Connection, id: &str) -> anyhow::Result<bool> {
    let sql = "SELECT 1 FROM versions WHERE version_id = ?1 AND size IS NOT NULL";
    Ok(list.prepare_cached(sql)?.exists([id])?)
}

/// Reads a whole journal.
pub(super) fn read(journal: &Path, watch: &RunMonitor) -> anyhow::Result<JournalFacts> {
    let file = open(journal)?;
    let mut select = file.prepare("SELECT pk, sk, body FROM events ORDER BY pk, sk")?;
    let mut rows = select.query([])?;
    let (mut said, mut of, mut lines) = (JournalFacts::default(), String::new(), Vec::new());
    while let Some(row) = rows.next()? {
        watch.go_on()?;
        let pk: String = row.get(0)?;
        if pk != of {
            said.take(&of, std::mem::take(&mut lines));
            of = pk;
        }
        said.events += 1;
        lines.push(StoredLine { version: row.get(1)?, body: row.get(2)? });
    }
    said.take(&of, lines);
    Ok(said)
}

impl JournalFacts {
    fn take(&mut self, partition: &str, lines: Vec<StoredLine>) {
        let Some(key) = Key::from_partition(partition) else {
            let partition = partition.to_owned();
            return self.take_stream(Chain { partition, lines, strays: Vec::new() });
        };
        match History::read(&key, lines) {
            Ok(None) => {}
            Ok(Some(history)) => {
                let asset = history.asset();
                let is_gone = matches!(asset.status(), AssetStatus::Purging | AssetStatus::Purged);
                let pin = asset.pin.as_ref().filter(|_| !is_gone);
                self.pinned.extend(pin.map(|pin| pin.version_id.clone()));
            }
            Err(_) => self.broken.push(partition.to_owned()),
        }
    }

    /// No asset counts on a named stream. What is none is passed over.
    fn take_stream(&mut self, chain: Chain) {
        if chain.stream().is_some() && !examine(&chain).is_empty() {
            self.broken.push(chain.partition);
        }
    }
}

/// Whether `newer` has the last event of `older` at the same place, and so all earlier ones.
pub(super) fn continues(older: &Path, newer: &Path) -> anyhow::Result<bool> {
    type Event = (i64, String, u64, String);
    let event = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let last = "SELECT arrival, pk, sk, body FROM events ORDER BY arrival DESC LIMIT 1";
    let last: Option<Event> = open(older)?.query_row(last, [], event).optional()?;
    let Some(last) = last else { return Ok(true) };
    let there = "SELECT arrival, pk, sk, body FROM events WHERE arrival = ?1";
    let there: Option<Event> = open(newer)?.query_row(there, [last.0], event).optional()?;
    Ok(there == Some(last))
}

/// Possible paths of a version's bytes in a served data folder, in the order in which a file moves:
/// searching in this order finds a file that moves meanwhile.
pub(super) fn places(data: &Path, id: &str) -> [PathBuf; 3] {
    let [coming, going] = drafts_of(id);
    let passing = data.join("s3/tmp");
    [passing.join(coming), data.join("s3/objects").join(id), passing.join(going)]
}
