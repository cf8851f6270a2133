//! One SQLite file: one writer thread, which commits all waiting jobs as one transaction (group
//! commit), and a few readers. The embedded stores of this project use it.
//!
//! An fsync costs the same for one row as for five hundred, so the writer takes all waiting jobs,
//! runs them in one transaction and answers all of them after the one `COMMIT`.

mod evidence;
mod file;
mod file_identity;
mod readers;
mod wal;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use self::file::{connect, describe, migrate, steps_applied, tune};
use self::file_identity::FileIdentity;
use self::readers::Readers;
use self::writer::{Message, Waiting, WriteJob, write_groups};
use ledger::error::{StoreError, StoreErrorKind};

/// Lookups of this process that run on their callers' threads at once: on all threads but one.
static ON_THE_SPOT: LazyLock<Semaphore> = LazyLock::new(|| {
    let threads = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
    Semaphore::new((threads - 1).max(1))
});
/// Jobs that may wait for the writer before callers must wait to queue theirs.
const QUEUE: usize = 4096;

/// The form of a file: its identification, and the migration steps.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The name of the content, for messages: `journal`, `views`, `objects`.
    pub name: &'static str,
    /// SQLite's `application_id`: a file with another one is not changed.
    pub application_id: i32,
    /// The steps from an empty file to the current form; `user_version` counts those applied.
    pub steps: &'static [&'static str],
    /// Whether every commit is synced to the disk. Only rebuildable data may do without.
    pub durable: bool,
}

/// Whether a missing file is created or is an error, and whether anything is written at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Creates the file if it is missing.
    OrCreate,
    /// The file must exist.
    Existing,
    /// The file must exist, and no byte of it, or of a file beside it, is changed: for evidence,
    /// also on read-only media. An older form is read from a private copy. Every write fails. Not
    /// for a process that writes to the same file.
    ReadOnly,
}

/// An open file. Dropping it commits the waiting jobs, waits for the end of the writer, and leaves
/// no write-ahead log.
#[derive(Debug)]
pub struct Database {
    name: &'static str,
    /// `None` if nothing is written.
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
        // Nothing is written, not even the journal mode, before the file is identified. A file that
        // is up to date opens without waiting for another process that writes to it.
        let applied = steps_applied(&writer, path, schema)?;
        tune(&writer, schema).map_err(failed)?;
        if applied < schema.steps.len() {
            migrate(&mut writer, path, schema)?;
        }
        // SQLite has all its files only from here on.
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

    /// Whether the open file is still the one at its path, with its folder and its log. After the
    /// first failure, every write fails.
    ///
    /// # Errors
    /// `Misconfigured` if it was moved, replaced or removed.
    pub fn check(&self) -> Result<(), StoreError> {
        self.ground.as_ref().map_or(Ok(()), |ground| ground.check())
    }

    /// Whether a write reaches the disk: commits a change of only the file's change counter.
    ///
    /// # Errors
    /// Those of [`Database::write`]: another process that holds the lock, a full disk, a writer
    /// that has ended.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await
    }

    /// Finishes the reads and writes in progress, moves the log to the file, and ends the writer.
    /// Later calls fail.
    pub async fn close(&self) {
        self.readers.close().await;
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(Message::Close).await; // fails if it has ended already
        }
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let joined = tokio::task::spawn_blocking(move || writer.map(JoinHandle::join)).await;
        if !matches!(joined, Ok(None | Some(Ok(())))) {
            tracing::error!(store = self.name, "the writer did not stop cleanly");
        }
    }

    /// Runs `job` in the writer's next transaction and returns after the commit.
    ///
    /// Other waiting jobs share the transaction: an error that `job` returns rolls back and fails
    /// the whole group, so only a broken store is an error here. Any other result for the caller (a
    /// key that is taken) is part of `T`.
    pub async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_then(job, |_| ()).await
    }

    /// Like [`Database::write`], and calls `committed` after the commit, also if the caller is gone
    /// (a client that disconnected), so that waiting tasks are notified of every write.
    pub async fn write_then<T, F, C>(&self, job: F, committed: C) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        C: FnOnce(&T) + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let answered = move |outcome: Result<T, StoreError>| {
            if let Ok(done) = &outcome {
                committed(done);
            }
            // A caller that is gone gets no answer; its write is committed.
            let _ = reply.send(outcome);
        };
        let job = Message::Write(Box::new(Waiting::new(job, answered)));
        self.jobs()?.send(job).await.map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }

    /// Like [`Database::write`], for a thread that may block: returns as soon as `job` is queued.
    /// The writer's thread calls `answered` with the result after the commit, before the next one.
    /// If there is no writer, this thread calls it, with the error. If the writer ends before it
    /// takes the job, `answered` is dropped without a call.
    pub fn write_from_thread<T, F, A>(&self, job: F, answered: A)
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        A: FnOnce(Result<T, StoreError>) + Send + 'static,
    {
        let job = Box::new(Waiting::new(job, answered));
        match self.jobs() {
            Ok(jobs) => match jobs.blocking_send(Message::Write(job)) {
                Err(SendError(Message::Write(job))) => job.reply(Err(self.gone())),
                Ok(()) | Err(SendError(Message::Close)) => {}
            },
            Err(error) => job.reply(Err(error)),
        }
    }

    fn jobs(&self) -> Result<&mpsc::Sender<Message>, StoreError> {
        self.jobs.as_ref().ok_or_else(|| {
            let why = format!("{}: opened to be read only", self.name);
            StoreError::new(StoreErrorKind::Misconfigured, why)
        })
    }

    fn gone(&self) -> StoreError {
        StoreError::new(StoreErrorKind::Unavailable, format!("{}: no writer", self.name))
    }

    /// Runs a query of a few pages, as [`Database::read`] does, on the caller's thread: the hop to
    /// another thread and back costs several times such a query. A slow disk must not stop all
    /// tasks, so one thread never does this: a lookup that would occupy it hops.
    pub async fn look_up<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        if self.jobs.is_some()
            && let Ok(_here) = ON_THE_SPOT.try_acquire()
            && let Ok(_permit) = self.readers.permits.try_acquire()
        {
            return self.readers.run(query);
        }
        self.read(query).await
    }

    /// Runs `query` on a reading connection. It sees every write that returned before the call.
    pub async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (readers, name) = (Arc::clone(&self.readers), self.name);
        let cut = move || {
            StoreError::new(StoreErrorKind::Unavailable, format!("{name}: reading was cut"))
        };
        // The permit is moved along: a caller that disconnects does not end the work.
        let run = move |permit: OwnedSemaphorePermit| {
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                readers.run(query)
            })
        };
        let permits = Arc::clone(&self.readers.permits);
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            return run(permit).await.map_err(|_| cut())?;
        }
        // A task of its own waits and reads. The caller may be one of many futures that are not
        // polled while another of them reads: it would keep a permit that it was given meanwhile.
        let mut waiting = JoinSet::new();
        waiting.spawn(async move {
            let permit = permits.acquire_owned().await.map_err(|_| cut())?;
            run(permit).await.map_err(|_| cut())?
        });
        waiting.join_next().await.and_then(Result::ok).unwrap_or_else(|| Err(cut()))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.jobs = None;
        self.readers.close_idle();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // If a job held the last handle, the writer itself drops it.
        if let Some(writer) = writer.filter(|it| it.thread().id() != thread::current().id()) {
            let _ = writer.join();
        }
    }
}

/// A log that no process has open was left by a crash, and must belong to the file beside it.
fn refuse_strange_log(path: &Path) -> Result<(), StoreError> {
    if file_identity::is_open_here(path) {
        return Ok(());
    }
    match File::open(path) {
        Ok(probe) if !evidence::is_open_elsewhere(&probe) => wal::check(path),
        _ => Ok(()),
    }
}

/// The cause is neither the file nor its content.
fn cannot_start(name: &str, error: std::io::Error) -> StoreError {
    StoreError::caused(StoreErrorKind::Unavailable, format!("{name}: cannot start"), error)
}

/// The name of a file that SQLite keeps beside another.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests;
