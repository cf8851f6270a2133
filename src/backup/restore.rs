//! Restores a backup: into a draft folder, which gets the final name at the end.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use ledger::Effects;
use ledger::audit::Finding;
use ledger::service::LedgerService;
use projections::{JournalFollower, Runner};
use stores::SqliteJournal;
use stores::SqliteViews;
use stores::sqlite::OpenMode;
use tokio::sync::mpsc;

use super::RunMonitor;
use super::copy::{CopyOutcome, copy, private_folder, sync};
use super::manifest::{BackupDatabase, BackupManifest};
use super::snapshot::{self, each_listed};
use crate::bucket::Bucket;
use crate::local::BUCKET;
use crate::object_audit::ObjectAudit;
use crate::s3::LocalBucket;

/// The capacity of the channel of findings.
const QUEUE: usize = 256;

/// The result of a restore.
#[derive(Debug, Default)]
pub struct Restored {
    /// Events.
    pub events: u64,
    /// Files.
    pub files: u64,
    /// The time of the backup.
    pub at: String,
    /// The faults of the ledger at the time of the backup.
    pub lacking: Vec<String>,
    /// The remaining findings about the restored files.
    pub findings: Vec<Finding>,
}

/// Restores the backup in `from` to `data`, which must not exist, or be empty.
///
/// # Errors
/// If there is no backup, a file of it is missing or altered, or `data` contains anything. `data`
/// is then unchanged.
pub async fn restore(
    from: &Path,
    data: &Path,
    effects: Arc<dyn Effects>,
    watch: &RunMonitor,
) -> anyhow::Result<Restored> {
    let (source, target, watching) = (from.to_owned(), data.to_owned(), watch.clone());
    let copied = tokio::task::spawn_blocking(move || bring(&source, &target, &watching)).await?;
    let (draft, mut restored) = copied?;
    restored.findings = settle(draft.path(), effects).await?;
    watch.go_on()?;
    draft.name(data)?;
    Ok(restored)
}

/// A folder that is removed unless it gets its final name.
struct PartialFolder(Option<PathBuf>);

impl PartialFolder {
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new("."))
    }

    fn name(mut self, data: &Path) -> anyhow::Result<()> {
        if let Some(draft) = &self.0 {
            fs::rename(draft, data)
                .with_context(|| format!("--data {}: cannot be given its name", data.display()))?;
        }
        self.0 = None;
        sync(data.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        if let Some(draft) = &self.0 {
            let _ = fs::remove_dir_all(draft);
        }
    }
}

/// Copies everything and compares each file with its hash.
fn bring(
    from: &Path,
    data: &Path,
    watch: &RunMonitor,
) -> anyhow::Result<(PartialFolder, Restored)> {
    let manifest = BackupManifest::read(from)?.with_context(|| {
        format!("--from {}: there is no whole backup (no backup.json)", from.display())
    })?;
    refuse_taken(data)?;
    let draft = draft(data)?;
    let bucket = draft.path().join("s3");
    let objects = bucket.join("objects");
    private_folder(&objects)?;
    private_folder(&bucket.join("tmp"))?;
    let (journal, list) = (draft.path().join("journal.sqlite"), bucket.join("objects.sqlite"));
    for (part, to) in [(&manifest.journal, &journal), (&manifest.objects, &list)] {
        database(from, part, to, watch)?;
    }
    let key = from.join("credentials.json");
    if key.exists() {
        let mut kept = super::copy::private(&bucket.join("credentials.json"))?;
        std::io::copy(&mut File::open(key)?, &mut kept)?;
        kept.sync_all()?;
    }
    let BackupManifest { events, at, lacking, .. } = manifest;
    let mut restored = Restored { events, at, lacking, ..Restored::default() };
    each_listed(&snapshot::open(&list)?, |listed| {
        watch.file();
        let kept = from.join("objects").join(&listed.id);
        match copy(&kept, &objects.join(&listed.id), listed.sha256, watch)? {
            CopyOutcome::Whole => restored.files += 1,
            _ if restored.lacking.contains(&listed.id) => {}
            CopyOutcome::Missing => bail!("{}: missing from the backup", kept.display()),
            CopyOutcome::Altered => bail!("{}: not the bytes that were kept", kept.display()),
        }
        Ok(())
    })?;
    for folder in [objects.as_path(), &bucket, draft.path()] {
        sync(folder)?;
    }
    Ok((draft, restored))
}

fn database(
    from: &Path,
    part: &BackupDatabase,
    to: &Path,
    watch: &RunMonitor,
) -> anyhow::Result<()> {
    let kept = from.join(&part.file);
    match copy(&kept, to, super::take::hash(part)?, watch)? {
        CopyOutcome::Whole => Ok(()),
        CopyOutcome::Missing => bail!("{}: missing from the backup", kept.display()),
        CopyOutcome::Altered => bail!("{}: not the file that was kept", kept.display()),
    }
}

fn refuse_taken(data: &Path) -> anyhow::Result<()> {
    let shown = data.display();
    let Ok(mut entries) = fs::read_dir(data) else {
        return if data.exists() { bail!("--data {shown}: is not a folder") } else { Ok(()) };
    };
    if File::open(data.join("serve.lock"))
        .is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
    {
        bail!("--data {shown}: a `serve` runs on this folder; restore into another one");
    }
    if entries.next().is_some() {
        bail!("--data {shown}: is not empty; restore into another folder, or move this one away");
    }
    Ok(())
}

/// The draft folder beside `data`. A remainder of an earlier run has the same name and is removed.
fn draft(data: &Path) -> anyhow::Result<PartialFolder> {
    let mut name = data.as_os_str().to_owned();
    name.push(".restoring");
    let path = PathBuf::from(name);
    if path.exists() {
        fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
    }
    private_folder(&path)?;
    Ok(PartialFolder(Some(path)))
}

/// Does the first work of `serve`: handles pending notifications, and projects the rows. So the
/// folder is consistent, and an audit finds nothing.
async fn settle(folder: &Path, effects: Arc<dyn Effects>) -> anyhow::Result<Vec<Finding>> {
    let journal = Arc::new(SqliteJournal::open(folder, OpenMode::Existing).await?);
    let bucket = Arc::new(LocalBucket::open(
        &folder.join("s3"),
        BUCKET,
        effects.clone(),
        OpenMode::Existing,
    )?);
    let service = LedgerService::new(journal.clone(), bucket.clone(), effects.clone(), BUCKET);
    let handler = Bucket::new(Arc::new(service));
    for event in snapshot::waiting(&folder.join("s3/objects.sqlite"))? {
        handler.receive(&event).await; // `serve` delivers it again, which changes nothing
    }
    let files = ObjectAudit::new(journal.clone(), bucket, effects.clone(), BUCKET);
    let files = ObjectAudit { repair: true, ..files };
    let (findings, mut heard) = mpsc::channel::<Finding>(QUEUE);
    let take = async {
        let mut left = Vec::new();
        while let Some(finding) = heard.recv().await {
            let looked = finding.repair.as_deref().is_some_and(|it| it.starts_with("looked"));
            left.extend((!looked).then_some(finding));
        }
        left
    };
    let look = async {
        let looked = files.run(&findings).await;
        drop(findings);
        looked
    };
    let (looked, left) = tokio::join!(look, take);
    looked.context("the files of the backup could not be looked at")?;
    let views = Arc::new(SqliteViews::open(folder, OpenMode::OrCreate)?);
    let runner = Runner::new(journal.clone(), views.clone(), effects);
    JournalFollower::new(journal, views, runner)
        .catch_up()
        .await
        .context("no rows could be made")?;
    Ok(left)
}
