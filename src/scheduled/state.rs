//! The last run of each job, saved in the data folder, so that a restart neither repeats a job nor
//! loses its findings.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

/// The file's name in the folder.
const FILE: &str = "scheduled.json";

/// A completed run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobRun {
    /// The end of the run.
    pub(crate) at: DateTime<Utc>,
    /// The number of findings.
    pub(crate) findings: u64,
    /// How many of them are more than delays.
    pub(crate) tampered: u64,
}

/// The last run of each job, by its name.
pub(super) type LastRuns = BTreeMap<String, JobRun>;

/// The file of the last runs.
pub(super) struct JobState {
    folder: PathBuf,
}

impl JobState {
    pub(super) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The saved runs. An unreadable file counts as empty: every job runs again.
    pub(super) fn load(&self) -> LastRuns {
        let text = match fs::read_to_string(self.folder.join(FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return LastRuns::default(),
            text => text,
        };
        let last = text.map_err(|e| e.to_string());
        last.and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string()))
            .inspect_err(|error| tracing::warn!(error, "cannot read {FILE}: starting over"))
            .unwrap_or_default()
    }

    pub(super) fn save(&self, last: &LastRuns) -> io::Result<()> {
        let mut draft = NamedTempFile::with_prefix_in(".scheduled.", &self.folder)?;
        draft.write_all(&serde_json::to_vec(last)?)?;
        draft.as_file().sync_all()?;
        draft.persist(self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_known_after_a_restart_and_rubbish_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let state = JobState::of(folder.path());
        assert_eq!(state.load(), LastRuns::new());
        let done = JobRun { at: DateTime::UNIX_EPOCH, findings: 3, tampered: 2 };
        let last = LastRuns::from([("verify".to_owned(), done)]);
        state.save(&last).unwrap();
        assert_eq!(JobState::of(folder.path()).load(), last);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(state.load(), LastRuns::new());
    }
}
