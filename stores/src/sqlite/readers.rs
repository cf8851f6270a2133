//! Reading connections, kept between reads.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::runtime;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::Schema;
use super::evidence::EvidenceFile;
use super::file::{READERS_BUSY, connect, describe, steps_applied, tune};
use super::file_identity::FileIdentity;
use ledger::error::StoreError;

/// The number of reading connections, and so of concurrent blocking reads.
pub(super) const READERS: usize = ALL_READERS as usize;
const ALL_READERS: u32 = 8;

/// The readers of one file.
pub(super) struct Readers {
    path: PathBuf,
    schema: Schema,
    /// The way to read the file if no byte of it may change.
    evidence: Option<EvidenceFile>,
    /// Each with the number of the check before it was opened: see [`EvidenceFile::look`].
    idle: Mutex<Vec<(u64, Connection)>>,
    /// The identity of the open file, if it is written to. Declared after `idle`, because fields
    /// are dropped in this order: the file counts as open here until its last connection is closed.
    ground: Option<Arc<FileIdentity>>,
    pub(super) permits: Arc<Semaphore>,
}

impl Readers {
    /// Readers beside a writer.
    pub(super) fn shared(path: &Path, schema: &Schema, ground: Arc<FileIdentity>) -> Self {
        Self { ground: Some(ground), ..Self::new(path, schema) }
    }

    /// Readers in a process that has the file open elsewhere, and may close it at any moment. The
    /// first connection is opened before the file is identified: while it is open, the log is not
    /// removed.
    pub(super) fn beside_owner(path: &Path, schema: &Schema) -> Result<Self, StoreError> {
        let failed = |error| describe(schema.name, path, error);
        let first = connect(path, false).map_err(failed)?;
        tune(&first, schema).map_err(failed)?;
        steps_applied(&first, path, schema)?;
        let ground = Arc::new(FileIdentity::of(schema.name, path)?);
        let readers = Self::shared(path, schema, ground);
        readers.idle().push((0, first));
        Ok(readers)
    }

    fn new(path: &Path, schema: &Schema) -> Self {
        Self {
            path: path.to_owned(),
            schema: *schema,
            evidence: None,
            idle: Mutex::default(),
            ground: None,
            permits: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Readers that change no file.
    pub(super) fn of_evidence(path: &Path, schema: &Schema) -> Result<Self, StoreError> {
        let evidence = Some(EvidenceFile::open(path, schema)?);
        Ok(Self { evidence, ..Self::new(path, schema) })
    }

    /// Runs `query` on a connection of its own.
    pub(super) fn run<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let failed = |error| describe(self.schema.name, &self.path, error);
        let look = self.evidence.as_ref().map_or(Ok(0), EvidenceFile::look)?;
        let connection = match self.take(look) {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let answer = query(&connection);
        if let Some(evidence) = &self.evidence {
            evidence.still_as_looked_at(look)?;
        }
        self.idle().push((look, connection));
        answer.map_err(failed)
    }

    /// Closes the connections that are not in use.
    pub(super) fn close_idle(&self) {
        self.idle().clear();
    }

    /// Waits for the reads in progress, and delays new ones until the result is dropped. `None` if
    /// a read takes longer than [`READERS_BUSY`]. Blocks: for the writer's thread.
    pub(super) fn pause(&self) -> Option<SemaphorePermit<'_>> {
        let timer = runtime::Builder::new_current_thread().enable_time().build().ok()?;
        let all = self.permits.acquire_many(ALL_READERS);
        timer.block_on(async { timeout(READERS_BUSY, all).await }).ok()?.ok()
    }

    /// Waits for the reads in progress, and refuses new ones.
    pub(super) async fn close(&self) {
        let reads = self.permits.acquire_many(ALL_READERS).await;
        self.permits.close();
        drop(reads);
        self.close_idle();
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        if let Some(evidence) = &self.evidence {
            return evidence.connect();
        }
        let opened = connect(&self.path, false)
            .and_then(|new| tune(&new, &self.schema).map(|()| new))
            .map_err(|error| describe(self.schema.name, &self.path, error));
        // It must not read another file than the one that is written to.
        self.ground.as_ref().map_or(Ok(()), |ground| ground.check())?;
        opened
    }

    fn take(&self, look: u64) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|(of, _)| *of == look);
        idle.pop().map(|(_, connection)| connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(u64, Connection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("path", &self.path).finish_non_exhaustive()
    }
}
