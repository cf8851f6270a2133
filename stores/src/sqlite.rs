//! One SQLite file: one writer thread that commits whatever is waiting as one transaction (group
//! commit), and a few readers beside it. The embedded stores of this project stand on it.
//!
//! An fsync costs the same for one row as for five hundred, so the writer takes everything that
//! is waiting, runs it in one transaction and answers all of it after the one `COMMIT`.

mod evidence;
mod file;
mod file_identity;
mod readers;
mod wal;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use self::file::{connect, describe, migrate, steps_applied, tune};
use self::file_identity::FileIdentity;
use self::readers::Readers;
use self::writer::{Message, Waiting, write_groups};
use ledger::error::{StoreError, StoreErrorKind};

/// Jobs waiting for the writer before callers wait to hand theirs over.
const QUEUE: usize = 4096;

/// What a file must be: how it is recognised, and the steps that bring it up to date.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// What the file holds, for messages: `journal`, `views`, `objects`.
    pub name: &'static str,
    /// SQLite's `application_id`: a file that carries another one is not ours to touch.
    pub application_id: i32,
    /// The steps from an empty file to the current form; `user_version` counts those applied.
    pub steps: &'static [&'static str],
    /// Whether every commit reaches the disk. Only what can be rebuilt may do without.
    pub durable: bool,
}

/// Whether a missing file is made or is an error, and whether anything is written at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Make the file when it is missing.
    OrCreate,
    /// The file must be there.
    Existing,
    /// The file must be there, and not a byte of it, or beside it, is changed: for evidence, also
    /// on media that cannot be written. An older form is read as it is, from a private copy. Every
    /// write fails. Not for a process that writes to the same file.
    ReadOnly,
}

/// An open file. Dropping it commits what is waiting, waits for the writer to end, and leaves no
/// log behind.
#[derive(Debug)]
pub struct Database {
    name: &'static str,
    /// None where nothing is written.
    jobs: Option<mpsc::Sender<Message>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    ground: Option<Arc<FileIdentity>>,
    readers: Arc<Readers>,
}

impl Database {
    /// Opens `path`, brings its schema up to date and starts its writer.
    ///
    /// # Errors
    /// `Misconfigured` for a file that is missing, foreign or newer than this program, `Corrupt`
    /// for one that is damaged, `Unavailable` for one that another process keeps locked.
    pub fn open(path: &Path, schema: &Schema, open: OpenMode) -> Result<Self, StoreError> {
        let name = schema.name;
        if open == OpenMode::ReadOnly {
            let readers = if file_identity::is_open_here(path) {
                Readers::beside_owner(path, schema)?
            } else {
                Readers::of_evidence(path, schema)?
            };
            let readers = Arc::new(readers);
            return Ok(Self { name, jobs: None, writer: Mutex::default(), ground: None, readers });
        }
        let failed = |error| describe(name, path, error);
        refuse_strange_log(path)?;
        let mut writer = connect(path, open == OpenMode::OrCreate).map_err(failed)?;
        // Nothing is written, not even the journal mode, before the file is known to be ours; and
        // a file that is up to date opens without waiting for whoever is writing to it.
        let applied = steps_applied(&writer, path, schema)?;
        tune(&writer, schema).map_err(failed)?;
        if applied < schema.steps.len() {
            migrate(&mut writer, path, schema)?;
        }
        // Only now SQLite has all its files.
        steps_applied(&writer, path, schema)?;
        let ground = Arc::new(FileIdentity::of(name, path)?);
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let readers = Arc::new(Readers::shared(path, schema, Arc::clone(&ground)));
        let (of, read_by) = (Arc::clone(&ground), Arc::clone(&readers));
        let thread = thread::Builder::new()
            .name(format!("{name}-writer"))
            .spawn(move || write_groups(name, &mut writer, waiting, &of, &read_by))
            .map_err(|error| cannot_start(name, error))?;
        let writer = Mutex::new(Some(thread));
        Ok(Self { name, jobs: Some(jobs), writer, ground: Some(ground), readers })
    }

    /// Whether the file that is open is still the one at its path, with its folder and its log.
    /// From the first time on that it is not, every write fails.
    ///
    /// # Errors
    /// `Misconfigured` if it was moved, replaced or removed.
    pub fn check(&self) -> Result<(), StoreError> {
        self.ground.as_ref().map_or(Ok(()), |ground| ground.check())
    }

    /// Whether a write reaches the disk: a commit that changes only the file's change counter.
    ///
    /// # Errors
    /// Those of [`Database::write`]: another process that holds the lock, a full disk, a writer
    /// that has ended.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await
    }

    /// Finishes the reads and writes under way, moves the log to the file, and ends the writer.
    /// Whatever comes later fails.
    pub async fn close(&self) {
        self.readers.close().await;
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(Message::Close).await; // fails where it has ended already
        }
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let joined = tokio::task::spawn_blocking(move || writer.map(JoinHandle::join)).await;
        if !matches!(joined, Ok(None | Some(Ok(())))) {
            tracing::error!(store = self.name, "the writer did not stop cleanly");
        }
    }

    /// Runs `job` in the writer's next transaction and answers once that has been committed.
    ///
    /// The transaction is shared with whatever else was waiting: an error that `job` returns
    /// rolls back and fails the whole group, so only a broken store is an error here. Anything a
    /// caller should be told (a key that is taken) is part of `T`.
    pub async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_then(job, |_| ()).await
    }

    /// Like [`Database::write`], and calls `committed` once the answer stands: also when the
    /// caller has gone away meanwhile (a client that hung up), so that nobody who waits for news
    /// of the write misses it.
    pub async fn write_then<T, F, C>(&self, job: F, committed: C) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        C: FnOnce(&T) + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Waiting::new(job, committed, reply));
        let gone =
            || StoreError::new(StoreErrorKind::Unavailable, format!("{}: no writer", self.name));
        let Some(jobs) = &self.jobs else {
            let why = format!("{}: opened to be read only", self.name);
            return Err(StoreError::new(StoreErrorKind::Misconfigured, why));
        };
        jobs.send(Message::Write(job)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Runs `query` on a reading connection. It sees every write answered before it was called.
    pub async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let cut = || {
            StoreError::new(StoreErrorKind::Unavailable, format!("{}: reading was cut", self.name))
        };
        let permits = Arc::clone(&self.readers.permits);
        let permit = permits.acquire_owned().await.map_err(|_| cut())?;
        // The permit goes along: a caller that hangs up does not end the work.
        let work = move || {
            let _permit = permit;
            readers.run(query)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| cut())?
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.jobs = None;
        self.readers.close_idle();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A job that held the last handle is dropped by the writer itself.
        if let Some(writer) = writer.filter(|it| it.thread().id() != thread::current().id()) {
            let _ = writer.join();
        }
    }
}

/// A log that nobody has open was left by a crash, and must be of the file it lies beside.
fn refuse_strange_log(path: &Path) -> Result<(), StoreError> {
    if file_identity::is_open_here(path) {
        return Ok(());
    }
    match File::open(path) {
        Ok(probe) if !evidence::is_open_elsewhere(&probe) => wal::check(path),
        _ => Ok(()),
    }
}

/// Neither the file nor what it says is the reason.
fn cannot_start(name: &str, error: std::io::Error) -> StoreError {
    StoreError::caused(StoreErrorKind::Unavailable, format!("{name}: cannot start"), error)
}

/// The name of what SQLite has beside a file.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests;
