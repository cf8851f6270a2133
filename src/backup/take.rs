//! Makes a backup: first most files, then journal and list as of one moment, then new files, and
//! last the manifest.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ledger::Effects;
use ledger::chain::Hash;
use ledger::time;
use rusqlite::Connection;

use super::RunMonitor;
use super::copy::{self, CopyOutcome, copy, draft_of, hash_of, private, private_folder, sync};
use super::manifest::{BackupDatabase, BackupManifest};
use super::snapshot::{
    self, BackedUpVersion, JournalFacts, Snapshot, continues, each_listed, is_listed, places,
};

/// Moments to try: each follows one in which a version was purged before it was copied.
const TRIES: u32 = 20;

/// The result of a run.
#[derive(Debug, Default)]
pub struct BackupSummary {
    /// Events in the backup.
    pub events: u64,
    /// Files in the backup.
    pub files: u64,
    /// The number of new files among them.
    pub copied: u64,
    /// Files removed from the backup because their versions were deleted.
    pub removed: u64,
    /// Faults of the ledger itself: versions whose bytes are missing or altered, and broken
    /// histories.
    pub faults: Vec<String>,
}

/// Updates the backup in `out` from the ledger in `data`. With `deep`, files of earlier runs are
/// read again.
///
/// # Errors
/// If `data` is not a ledger, if `out` is inside it, or contains other files or the backup of
/// another ledger; if anything cannot be read or written. The backup is then unchanged.
pub fn take(
    data: &Path,
    out: &Path,
    deep: bool,
    effects: &dyn Effects,
    watch: &RunMonitor,
) -> anyhow::Result<BackupSummary> {
    let _lock = claim(data, out)?;
    let before = BackupManifest::read(out)?;
    let run = before.as_ref().map_or(1, |before| before.run + 1);
    let mut work = BackupRun { data, out, deep, watch, whole: HashSet::new() };
    let mut taken = BackupSummary::default();
    // Copies most files before the pinned moment. Files that vanish meanwhile are not needed.
    let live = snapshot::open(&data.join("s3/objects.sqlite"))?;
    each_listed(&live, |listed| work.fetch(&listed, &mut taken).map(drop))?;
    drop(live);
    let names = [format!("journal-{run}.sqlite"), format!("objects-{run}.sqlite")];
    let [journal, list] = names.clone().map(|name| out.join(name));
    let lacking = work.as_of_one_moment(&journal, &list, &mut taken)?;
    let said = snapshot::read(&journal, watch)?;
    if let Some(before) = &before
        && !continues(&out.join(&before.journal.file), &journal)?
    {
        remove(&[journal, list])?;
        bail!(
            "the journal in {} does not go on from the one in this backup: it is another ledger, \
             or an older one. Nothing was replaced; take a backup of it into another folder",
            data.display()
        );
    }
    keep_key(data, out)?;
    let part = |file: String, path: &Path| -> anyhow::Result<BackupDatabase> {
        Ok(BackupDatabase { file, sha256: hash_of(path, watch)?.to_string() })
    };
    let [journal_name, list_name] = names;
    let (one, two) = (part(journal_name, &journal)?, part(list_name, &list)?);
    let mut manifest = BackupManifest::new(run, time::format(effects.now()), one, two);
    taken.events = said.events;
    taken.faults = faults(&said, &list, &lacking)?;
    (manifest.events, manifest.files, manifest.lacking) = (said.events, taken.files, lacking);
    sync(&out.join("objects"))?;
    manifest.write(out)?;
    tidy(out, &manifest, &said, &mut taken)?;
    Ok(taken)
}

struct BackupRun<'a> {
    data: &'a Path,
    out: &'a Path,
    deep: bool,
    watch: &'a RunMonitor,
    /// The versions whose bytes this run verified or copied: none is processed twice.
    whole: HashSet<String>,
}

impl BackupRun<'_> {
    /// Copies journal and list to their drafts as of one moment for which every file is present,
    /// then renames both. Returns the versions without bytes in the ledger itself.
    ///
    /// The files are copied first. Both databases stay pinned meanwhile, but a version of that
    /// moment may be purged in the next.
    fn as_of_one_moment(
        &mut self,
        journal: &Path,
        list: &Path,
        taken: &mut BackupSummary,
    ) -> anyhow::Result<Vec<String>> {
        let drafts = [draft_of(journal), draft_of(list)];
        for _ in 0..TRIES {
            remove(&drafts)?;
            let snapshot = Snapshot::pin(self.data)?;
            if let Some(lacking) = self.rest(snapshot.list(), taken)? {
                snapshot.copy(&drafts[0], &drafts[1], self.watch)?;
                fs::rename(&drafts[0], journal)?;
                fs::rename(&drafts[1], list)?;
                sync(self.out)?;
                return Ok(lacking);
            }
        }
        bail!("versions are purged faster than they are copied; try again when it is quieter")
    }

    /// Copies the listed files that are still missing. `None` if a version was deleted meanwhile:
    /// then a later moment must be copied.
    fn rest(
        &mut self,
        list: &Connection,
        taken: &mut BackupSummary,
    ) -> anyhow::Result<Option<Vec<String>>> {
        let live = snapshot::open(&self.data.join("s3/objects.sqlite"))?;
        let (mut lacking, mut again) = (Vec::new(), false);
        taken.files = 0;
        each_listed(list, |listed| {
            match self.fetch(&listed, taken)? {
                CopyOutcome::Whole => taken.files += 1,
                CopyOutcome::Missing | CopyOutcome::Altered if !is_listed(&live, &listed.id)? => {
                    again = true;
                }
                CopyOutcome::Missing | CopyOutcome::Altered => lacking.push(listed.id),
            }
            Ok(())
        })?;
        Ok((!again).then_some(lacking))
    }

    /// Copies the bytes of a version, unless they are present.
    fn fetch(
        &mut self,
        listed: &BackedUpVersion,
        taken: &mut BackupSummary,
    ) -> anyhow::Result<CopyOutcome> {
        if self.whole.contains(&listed.id) {
            return Ok(CopyOutcome::Whole);
        }
        let found = self.look(listed, taken)?;
        if found == CopyOutcome::Whole {
            self.whole.insert(listed.id.clone());
        }
        Ok(found)
    }

    fn look(
        &self,
        listed: &BackedUpVersion,
        taken: &mut BackupSummary,
    ) -> anyhow::Result<CopyOutcome> {
        self.watch.file();
        self.watch.go_on()?;
        let to = self.out.join("objects").join(&listed.id);
        if to.metadata().is_ok_and(|there| there.is_file() && there.len() == listed.size)
            && (!self.deep || hash_of(&to, self.watch)? == listed.sha256)
        {
            return Ok(CopyOutcome::Whole);
        }
        let mut found = CopyOutcome::Missing;
        for from in places(self.data, &listed.id) {
            match copy(&from, &to, listed.sha256, self.watch)? {
                CopyOutcome::Missing => {}
                other => found = other,
            }
            if found == CopyOutcome::Whole {
                taken.copied += 1;
                break;
            }
        }
        Ok(found)
    }
}

/// Claims the folder of the backup, and creates it if it is missing.
fn claim(data: &Path, out: &Path) -> anyhow::Result<File> {
    let (from, to) = (data.display(), out.display());
    if !data.join("journal.sqlite").is_file() || !data.join("s3/objects.sqlite").is_file() {
        bail!("--data {from}: there is no ledger of `serve`");
    }
    if data.join("import.unfinished").exists() {
        bail!("--data {from}: an `import` into this folder is not finished; run it again first");
    }
    let (inner, outer) = (resolved(out)?, resolved(data)?);
    if inner.starts_with(&outer) || outer.starts_with(&inner) {
        bail!("--out {to}: must not be in the data folder, nor around it");
    }
    private_folder(out)?;
    let foreign = fs::read_dir(out)?.filter_map(Result::ok).find(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        !["backup.json", LOCK, "credentials.json", "objects"].contains(&name.as_str())
            && !["journal-", "objects-", "backup.json.", "credentials.json."]
                .iter()
                .any(|ours| name.starts_with(ours))
    });
    if let Some(foreign) = foreign {
        bail!(
            "--out {to}: {} is not of a backup; give a folder of its own",
            foreign.path().display()
        );
    }
    let lock = private(&out.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("--out {to}: another `backup` runs there"),
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| to.to_string()),
    }
    private_folder(&out.join("objects"))?;
    Ok(lock)
}

const LOCK: &str = "backup.lock";

/// A path without links and dots, also if it does not exist yet.
fn resolved(path: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for there in path.ancestors() {
        if let Ok(real) = there.canonicalize() {
            return Ok(real.join(path.strip_prefix(there)?));
        }
    }
    Ok(path)
}

/// Copies the key of the S3 endpoint, so that signed URLs stay valid.
fn keep_key(data: &Path, out: &Path) -> anyhow::Result<()> {
    let (from, to) = (data.join("s3/credentials.json"), out.join("credentials.json"));
    if !from.exists() {
        return Ok(());
    }
    let draft = draft_of(&to);
    let mut file = private(&draft)?;
    std::io::copy(&mut File::open(&from)?, &mut file)?;
    file.sync_all()?;
    Ok(fs::rename(&draft, &to)?)
}

fn faults(said: &JournalFacts, list: &Path, lacking: &[String]) -> anyhow::Result<Vec<String>> {
    let list = snapshot::open(list)?;
    let mut faults: Vec<_> =
        said.broken.iter().map(|asset| format!("{asset}: its history is broken")).collect();
    faults
        .extend(lacking.iter().map(|id| format!("version {id}: its bytes are missing or altered")));
    for id in &said.pinned {
        if !is_listed(&list, id)? {
            faults.push(format!("version {id}: an asset counts on it, and it is not listed"));
        }
    }
    Ok(faults)
}

/// Removes files that the manifest does not name: databases of earlier runs, partial files, and
/// files of deleted versions. Never removes a pinned version's file.
fn tidy(
    out: &Path,
    manifest: &BackupManifest,
    said: &JournalFacts,
    taken: &mut BackupSummary,
) -> anyhow::Result<()> {
    for entry in fs::read_dir(out)? {
        let (path, name) = named(&entry?);
        let old = ["journal-", "objects-"].iter().any(|ours| name.starts_with(ours))
            && ![&manifest.journal.file, &manifest.objects.file].contains(&&name);
        if old || name.ends_with(copy::PARTIAL) {
            fs::remove_file(path)?;
        }
    }
    let list = snapshot::open(&out.join(&manifest.objects.file))?;
    for entry in fs::read_dir(out.join("objects"))? {
        let (path, id) = named(&entry?);
        if !said.pinned.contains(&id) && !is_listed(&list, &id)? {
            fs::remove_file(path)?;
            taken.removed += 1;
        }
    }
    Ok(())
}

fn named(entry: &fs::DirEntry) -> (PathBuf, String) {
    (entry.path(), entry.file_name().to_string_lossy().into_owned())
}

fn remove(paths: &[PathBuf]) -> anyhow::Result<()> {
    for path in paths {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// The hash in a manifest.
pub(super) fn hash(part: &BackupDatabase) -> anyhow::Result<Hash> {
    part.sha256.parse().ok().with_context(|| format!("{}: its hash cannot be read", part.file))
}
