//! The contents of a backup, in one file that is replaced as a whole: `backup.json`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::copy::{draft_of, private, sync};

/// The manifest's name.
const FILE: &str = "backup.json";
/// The version of the format that this program writes and reads.
const FORM: u32 = 1;

/// A backup, as of its last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupManifest {
    form: u32,
    /// The number of runs.
    pub(super) run: u64,
    /// The time of the backup.
    pub(super) at: String,
    /// The events.
    pub(super) journal: BackupDatabase,
    /// The list of objects.
    pub(super) objects: BackupDatabase,
    /// The number of events.
    pub(super) events: u64,
    /// The number of files of objects.
    pub(super) files: u64,
    /// Versions whose bytes were missing or altered in the ledger itself.
    pub(super) lacking: Vec<String>,
}

/// A database in the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupDatabase {
    /// Its name.
    pub(super) file: String,
    /// SHA-256 of the file, in hex.
    pub(super) sha256: String,
}

impl BackupManifest {
    pub(super) fn new(
        run: u64,
        at: String,
        journal: BackupDatabase,
        objects: BackupDatabase,
    ) -> Self {
        let (events, files, lacking) = (0, 0, Vec::new());
        Self { form: FORM, run, at, journal, objects, events, files, lacking }
    }

    /// The manifest of the backup in `folder`; `None` if there is none yet.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| path.display().to_string())?,
        };
        let shown = path.display();
        let manifest: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("{shown} is not the manifest of a backup"))?;
        if manifest.form != FORM {
            bail!("{shown}: a newer asset-ledger made this backup; restore it with that one");
        }
        Ok(Some(manifest))
    }

    /// Makes this the manifest in `folder`.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(FILE);
        let draft = draft_of(&path);
        let written = private(&draft).and_then(|mut file| {
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        });
        written.with_context(|| path.display().to_string())?;
        sync(folder)
    }
}
