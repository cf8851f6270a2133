//! A ledger of a few assets, and exports of it.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use flate2::write::GzEncoder;
use ledger::Effects;
use ledger::asset::{Declaration, Event};
use ledger::audit::Finding;
use ledger::chain::Hash;
use ledger::id::{AssetId, Key, PartitionKey, Tenant};
use ledger::journal::{Appended, Journal};
use ledger::objects::ObjectVersion;
use ledger::record::{Cause, CommandId, EventRecord, EventSource, StoredLine};
use ledger::testing::{MemoryJournal, TestEffects};
use stores::SqliteJournal;
use stores::sqlite::OpenMode;
use tempfile::TempDir;

use super::super::*;

/// Assets of the ledger, with one to six events.
pub(super) const ASSETS: u64 = 60;

pub(super) fn key(nth: u64) -> Key {
    let at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(nth.cast_signed());
    Key {
        tenant: Tenant::default(),
        asset: AssetId::new(at, u128::from(nth.wrapping_mul(0x9e37_79b9))),
    }
}

/// The history of the `nth` asset, with `count` events.
pub(super) fn lines(nth: u64, count: u64) -> Vec<StoredLine> {
    let mut lines: Vec<StoredLine> = Vec::new();
    for version in 1..=count {
        let prev = lines.last().map_or(Hash::ZERO, StoredLine::hash);
        lines.push(record(nth, version, prev).line().unwrap());
    }
    lines
}

fn record(nth: u64, version: u64, prev: Hash) -> EventRecord {
    let (sha256, etag) = (None, "e".to_owned());
    let event = match version {
        1 => Event::Created(Declaration::plain()),
        2 => Event::Received(ObjectVersion { version_id: "v1".into(), size: 5, sha256, etag }),
        3 => Event::Uploaded,
        even if even % 2 == 0 => Event::SoftDeleted { reason: Some(format!("because of {nth}")) },
        _ => Event::Restored,
    };
    let at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::hours(nth.cast_signed());
    let command = CommandId::fresh(u128::from(nth * 1000 + version));
    let actor = if nth.is_multiple_of(10) { "ann" } else { "bob" }.to_owned();
    let cause = Cause { actor, source: EventSource::Api, request: format!("r{version}"), command };
    let at = at + TimeDelta::minutes(version.cast_signed());
    EventRecord { key: key(nth), version, event, cause, at, prev }
}

/// A journal.
#[derive(Clone)]
pub(super) struct Ledger {
    pub(super) journal: Arc<dyn Journal>,
}

impl Ledger {
    pub(super) fn of<J: Journal + 'static>(journal: J) -> Self {
        Self { journal: Arc::new(journal) }
    }

    pub(super) async fn sqlite(folder: &Path) -> Self {
        Self::of(SqliteJournal::open(folder, OpenMode::OrCreate).await.unwrap())
    }

    /// A journal in memory with all assets.
    pub(super) async fn full() -> Self {
        let full = Self::of(MemoryJournal::default());
        for nth in (1..=ASSETS).rev() {
            full.append(nth, &lines(nth, nth % 6 + 1)).await;
        }
        full
    }

    pub(super) async fn append(&self, nth: u64, lines: &[StoredLine]) {
        for line in lines {
            let done = self.journal.append(&key(nth), line.clone()).await.unwrap();
            assert_eq!(done, Appended::Written);
        }
    }

    pub(super) async fn append_stream(&self, (stream, lines): &(PartitionKey, Vec<StoredLine>)) {
        for line in lines {
            let done = self.journal.append_to(stream, line.clone()).await.unwrap();
            assert_eq!(done, Appended::Written);
        }
    }

    pub(super) fn source(&self) -> ExportSource<'_> {
        ExportSource { journal: &*self.journal, tenant: None }
    }

    pub(super) async fn export(
        &self,
        shape: &ExportShape,
        wanted: ExportFilter,
    ) -> (ExportManifest, u64) {
        let at = TestEffects::seeded(1).now();
        let mut writer = ExportWriter::create(shape.clone(), at, wanted.clone()).unwrap();
        let broken = self.source().export(Vec::new(), &wanted, &mut writer, &mut Quiet).await;
        (writer.finish().unwrap(), broken.unwrap())
    }

    pub(super) async fn import(&self, from: &Path) -> anyhow::Result<ImportSummary> {
        let archive = Archive::open(from)?;
        Importer::check(&archive, &mut |_| ())?;
        let import = Importer::new(&archive, &*self.journal);
        import.compare().await?;
        import.append(|_| ()).await
    }
}

pub(super) struct Quiet;

impl ExportObserver for Quiet {
    fn read(&mut self, _events: u64) {}

    fn broken(&mut self, _findings: Vec<Finding>) {}

    fn too_long(&mut self, _partition: &str, _bytes: usize) {}
}

/// A separate folder for each test.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn shape(&self, name: &str, layout: Layout, gzip: bool) -> ExportShape {
        ExportShape { out: self.at(name), layout, gzip }
    }

    /// An export of the whole ledger in a plain folder.
    pub(super) async fn exported(&self) -> PathBuf {
        let shape = self.shape("export", Layout::Segment, false);
        Ledger::full().await.export(&shape, ExportFilter::default()).await;
        shape.out
    }
}

/// Every file beneath a folder, by name.
pub(super) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut waiting) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// The findings in an export.
pub(super) fn findings(of: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut found = Vec::new();
    check(&Archive::open(of)?, &mut |finding| found.push(finding), &mut |_| ())?;
    Ok(found)
}

/// Flips a bit of each byte of these files: each is found, and located by its line.
pub(super) fn every_flipped_bit_is_located(export: &Path, names: &[&str]) {
    for name in names {
        let file = export.join(name);
        let bytes = fs::read(&file).unwrap();
        for (at, bit) in (0..bytes.len()).zip([0x01, 0x20, 0x80].into_iter().cycle()) {
            let mut flipped = bytes.clone();
            flipped[at] ^= bit;
            fs::write(&file, &flipped).unwrap();
            let found = findings(export).unwrap();
            let line = bytes[..at].split(|byte| *byte == b'\n').count();
            let place = format!("{name}:{line}:");
            let located = found.iter().any(|finding| finding.says.contains(&place));
            assert!(located, "{bit:#x} at {at}, {place} {found:#?}");
            // A line that joins another takes two heads away.
            assert!(found.len() <= 5, "{bit:#x} at {at}, {place} {found:#?}");
        }
        fs::write(&file, &bytes).unwrap();
    }
    assert_eq!(findings(export).unwrap(), []);
}

/// The findings in one file of lines.
pub(super) fn found_in(from: impl Read + 'static) -> Vec<Finding> {
    let mut found = Vec::new();
    let runs = Runs::of_one("chain.jsonl", from).unwrap();
    CheckSummary::of_runs(runs, None, &mut |finding| found.push(finding), &mut |_| ()).unwrap();
    found
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// One asset's chain in the form of the API.
pub(super) fn chain(nth: u64, count: u64) -> String {
    lines(nth, count).iter().flat_map(|line| [line.body.as_str(), "\n"]).collect()
}
