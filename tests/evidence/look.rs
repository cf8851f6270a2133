//! The findings of a folder: by `verify`, by checkpoints, and by reading its files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use asset_ledger::export::{BrokenHistories, CheckpointHeads, ExportSource};
use asset_ledger::object_audit::{ObjectAudit, ObjectAuditDepth};
use asset_ledger::s3::LocalBucket;
use asset_ledger::system::SystemEffects;
use ledger::audit::{Finding, FindingKind};
use ledger::chain::Hash;
use ledger::id::{AssetId, Key};
use ledger::journal::Journal;
use projections::Positions;
use projections::audit::{RowAudit, followed};
use stores::SqliteJournal;
use stores::SqliteViews;
use stores::sqlite::OpenMode;
use tokio::sync::mpsc;

use crate::day::Day;
use crate::operate::Deaf;

/// The whole journal, if the rows followed another.
const JOURNAL: &str = "journal";
/// The whole folder, if it is refused.
const FOLDER: &str = "folder";
/// The prefix of an asset in a checkpoint's findings.
const KEPT: &str = "heads: ";

/// The names of the findings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Named(BTreeMap<String, BTreeSet<&'static str>>);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Named {
    fn tell(&mut self, finding: &Finding) {
        let Some(name) = evidence(finding) else { return };
        self.0.entry(name).or_default().insert(finding.kind.name());
    }

    /// A finding from heads stored elsewhere, under another name: it does not replace the folder's
    /// own.
    fn tell_kept(&mut self, finding: &Finding) {
        let name = format!("{KEPT}{}", finding.asset);
        self.0.entry(name).or_default().insert(finding.kind.name());
    }

    pub(crate) fn something(&self) -> bool {
        !self.0.is_empty()
    }

    /// The assets in the folder's own findings.
    pub(crate) fn assets(&self) -> Vec<String> {
        self.0.keys().filter(|name| name.starts_with("main#")).cloned().collect()
    }

    pub(crate) fn speaks_of(&self, asset: &str) -> bool {
        let kept = format!("{KEPT}{asset}");
        [asset, &kept, JOURNAL, FOLDER].into_iter().any(|name| self.0.contains_key(name))
    }

    /// Whether `other` has all these names too, or the missing one. The kind may change as the
    /// history grows; a refused folder has no other findings.
    pub(crate) fn is_still_in(&self, other: &Self) -> Result<(), String> {
        let names = |it: &&String| !other.0.contains_key(*it) && !other.0.contains_key(FOLDER);
        match self.0.keys().find(names) {
            Some(gone) => Err(format!("{gone} {:?}", self.0[gone])),
            None => Ok(()),
        }
    }
}

/// The name in a finding, if it is evidence and not only pending.
fn evidence(finding: &Finding) -> Option<String> {
    match finding.kind {
        FindingKind::RowMissing
        | FindingKind::RowStale
        | FindingKind::TotalsDrifted
        | FindingKind::ObjectUnrecorded => None,
        // The same file in `s3/objects` and in `s3/lost`.
        FindingKind::ObjectStray => finding.asset.rsplit('/').next().map(str::to_owned),
        _ => Some(finding.asset.clone()),
    }
}

/// All findings, of the folder itself and by heads stored elsewhere.
pub(crate) async fn named(day: &Day) -> Named {
    look(day, false).await.unwrap_or_else(|error| {
        let why: &'static str = Box::leak(format!("{error:#}").into_boxed_str());
        Named(BTreeMap::from([(FOLDER.to_owned(), BTreeSet::from([why]))]))
    })
}

/// `verify --objects=deep --against`, and `--repair`.
pub(crate) async fn look(day: &Day, repair: bool) -> anyhow::Result<Named> {
    let mut named = Named::default();
    let position = SqliteViews::open(&day.data, OpenMode::ReadOnly)?.load().await?;
    let open = if repair { OpenMode::Existing } else { OpenMode::ReadOnly };
    let journal = Arc::new(SqliteJournal::open(&day.data, open).await?);
    let views = Arc::new(SqliteViews::open(&day.data, open)?);
    for heads in &day.checkpoints {
        let against = CheckpointHeads::open(heads, None)?;
        against.journal(&*journal, &mut |finding| named.tell_kept(&finding)).await?;
    }
    followed(&position, &*journal).await?.iter().for_each(|finding| named.tell(finding));
    // As on the command line without `--against`: no repair from such a journal.
    let repair = repair && !named.0.contains_key(JOURNAL);
    let inventory =
        Arc::new(LocalBucket::open(&day.data.join("s3"), "assets", Arc::new(SystemEffects), open)?);
    let (effects, patience) = (Arc::new(SystemEffects), Duration::ZERO);
    let audit = RowAudit {
        journal: journal.clone(),
        views,
        tenant: None,
        effects: effects.clone(),
        repair,
        patience,
        segments: 1,
    };
    let files = ObjectAudit {
        depth: ObjectAuditDepth::Deep,
        repair,
        ..ObjectAudit::new(journal.clone(), inventory, effects, "assets")
    };
    let (findings, mut heard) = mpsc::channel(64);
    let looking = async move {
        audit.run(&findings, &Arc::default()).await?;
        files.run(&findings).await
    };
    let hearing = async {
        while let Some(finding) = heard.recv().await {
            named.tell(&finding);
        }
    };
    let (looked, ()) = tokio::join!(looking, hearing);
    looked?;
    Ok(named)
}

/// Writes all sound histories' heads to a file elsewhere.
pub(crate) async fn checkpoint(day: &mut Day) -> anyhow::Result<PathBuf> {
    let out = day.fresh("heads");
    let journal = SqliteJournal::open(&day.data, OpenMode::ReadOnly).await?;
    let source = ExportSource { journal: &journal, tenant: None };
    source.checkpoint(&out, None, BrokenHistories::LeaveOut, &mut Deaf).await?;
    Ok(out)
}

/// Stores the heads before a damage, as an operator does every hour.
pub(crate) async fn keep_heads(day: &mut Day) {
    if let Ok(heads) = checkpoint(day).await {
        day.checkpoints.push(heads);
    }
}

/// Stores acknowledged events, as in the journal.
pub(crate) async fn acknowledge(day: &mut Day, told: impl Iterator<Item = (String, u64)>) {
    let told: Vec<_> = told.collect();
    let journal = SqliteJournal::open(&day.data, OpenMode::ReadOnly).await.unwrap();
    for (id, version) in told {
        let asset: AssetId = id.parse().unwrap();
        let key = Key { tenant: "main".parse().unwrap(), asset };
        let lines = journal.history(&key).await.unwrap();
        let line = lines.iter().find(|line| line.version == version);
        let line = line.unwrap_or_else(|| panic!("{id} {version} was acknowledged"));
        day.acknowledged.insert((key.partition(), version), Hash::of(line.body.as_bytes()));
    }
}

/// The assets with an acknowledged event that the journal lacks.
pub(crate) fn missing(day: &Day) -> Vec<String> {
    let there = events(&day.data);
    let lost = |(place, hash): &(&(String, u64), &Hash)| there.get(*place) != Some(*hash);
    day.acknowledged.iter().filter(lost).map(|((asset, _), _)| asset.clone()).collect()
}

/// Every event in the file, without checks; none if it is unreadable.
fn events(data: &Path) -> BTreeMap<(String, u64), Hash> {
    let (copy, mut all) = (tempfile::tempdir().unwrap(), BTreeMap::new());
    for name in ["journal.sqlite", "journal.sqlite-wal"] {
        let _ = std::fs::copy(data.join(name), copy.path().join(name));
    }
    let file = rusqlite::Connection::open(copy.path().join("journal.sqlite")).unwrap();
    let Ok(mut query) = file.prepare("SELECT pk, sk, body FROM events") else { return all };
    let Ok(mut rows) = query.query([]) else { return all };
    while let Ok(Some(row)) = rows.next() {
        let body: String = row.get(2).unwrap();
        all.insert((row.get(0).unwrap(), row.get(1).unwrap()), Hash::of(body.as_bytes()));
    }
    all
}

/// The operator has accepted this journal: missing events are no longer expected.
pub(crate) async fn let_go(day: &mut Day) {
    let there = events(&day.data);
    day.acknowledged.retain(|place, hash| there.get(place) == Some(hash));
    day.checkpoints.clear();
    keep_heads(day).await;
}

/// The contents of every file of an object, in any folder.
pub(crate) fn bytes(data: &Path) -> BTreeSet<String> {
    let folders = ["objects", "tmp", "lost"].map(|name| data.join("s3").join(name));
    let files = folders.iter().filter_map(|it| std::fs::read_dir(it).ok()).flatten();
    let paths = files.map(|file| file.unwrap().path());
    paths.map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()).collect()
}
