//! One SQLite file: one writer thread that commits whatever is waiting as one transaction (group
//! commit), and a few readers beside it. The embedded stores of this project stand on it.
//!
//! An fsync costs the same for one row as for five hundred, so the writer takes everything that
//! is waiting, runs it in one transaction and answers all of it after the one `COMMIT`.

mod evidence;
mod file;
mod ground;
mod log;
mod readers;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use self::file::{LOG, connect, describe, empty_log, migrate, steps_applied, translate, tune};
use self::ground::Ground;
use self::readers::Readers;
use crate::error::{Kind, StoreError};

/// Jobs in one commit. Groups of 64 already reach the disk's best rate; more only adds latency.
const GROUP: usize = 512;
/// Jobs waiting for the writer before callers wait to hand theirs over.
const QUEUE: usize = 4096;
/// Groups between two looks at the length of the log.
const LOOK_AT_LOG: u32 = 64;

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
pub enum Open {
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
    ground: Option<Arc<Ground>>,
    readers: Arc<Readers>,
}

/// What the writer is told.
enum Message {
    Write(Box<dyn Job>),
    Close,
}

impl Database {
    /// Opens `path`, brings its schema up to date and starts its writer.
    ///
    /// # Errors
    /// `Misconfigured` for a file that is missing, foreign or newer than this program, `Corrupt`
    /// for one that is damaged, `Unavailable` for one that another process keeps locked.
    pub fn open(path: &Path, schema: &Schema, open: Open) -> Result<Self, StoreError> {
        let name = schema.name;
        if open == Open::ReadOnly && ground::is_open_here(path) {
            let ground = Ground::of(name, path).map_err(|error| {
                StoreError::caused(Kind::Unavailable, format!("{name}: cannot start"), error)
            })?;
            let readers = Arc::new(Readers::shared(path, schema, Arc::new(ground)));
            return Ok(Self { name, jobs: None, writer: Mutex::default(), ground: None, readers });
        }
        if open == Open::ReadOnly {
            let readers = Arc::new(Readers::of_evidence(path, schema)?);
            return Ok(Self { name, jobs: None, writer: Mutex::default(), ground: None, readers });
        }
        let failed = |error| describe(name, path, error);
        refuse_strange_log(path)?;
        let mut writer = connect(path, open == Open::OrCreate).map_err(failed)?;
        // Nothing is written, not even the journal mode, before the file is known to be ours; and
        // a file that is up to date opens without waiting for whoever is writing to it.
        let applied = steps_applied(&writer, path, schema)?;
        tune(&writer, schema).map_err(failed)?;
        if applied < schema.steps.len() {
            migrate(&mut writer, path, schema)?;
        }
        // Only now SQLite has all its files.
        steps_applied(&writer, path, schema)?;
        let cannot = |e| StoreError::caused(Kind::Unavailable, format!("{name}: cannot start"), e);
        let ground = Arc::new(Ground::of(name, path).map_err(cannot)?);
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let of = Arc::clone(&ground);
        let thread = thread::Builder::new()
            .name(format!("{name}-writer"))
            .spawn(move || write_groups(name, &mut writer, waiting, &of))
            .map_err(cannot)?;
        let readers = Arc::new(Readers::shared(path, schema, Arc::clone(&ground)));
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
            tracing::error!(store = self.name, "the writer did not end in good order");
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
        let job = Box::new(Waiting { job: Some(job), done: None, committed, reply });
        let gone = || StoreError::new(Kind::Unavailable, format!("{}: no writer", self.name));
        let Some(jobs) = &self.jobs else {
            let why = format!("{}: opened to be read only", self.name);
            return Err(StoreError::new(Kind::Misconfigured, why));
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
        let cut = || StoreError::new(Kind::Unavailable, format!("{}: reading was cut", self.name));
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

/// A unit of writing that waits for its transaction.
trait Job: Send {
    fn run(&mut self, transaction: &Connection) -> rusqlite::Result<()>;
    /// Remembers that it panicked: what it wrote was taken back, whatever becomes of the group.
    fn failed(&mut self, error: StoreError);
    fn reply(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Waiting<F, T, C> {
    job: Option<F>,
    done: Option<Result<T, StoreError>>,
    committed: C,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T, C> Job for Waiting<F, T, C>
where
    T: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    C: FnOnce(&T) + Send,
{
    fn run(&mut self, transaction: &Connection) -> rusqlite::Result<()> {
        if let Some(job) = self.job.take() {
            self.done = Some(Ok(job(transaction)?));
        }
        Ok(())
    }

    fn failed(&mut self, error: StoreError) {
        self.done = Some(Err(error));
    }

    fn reply(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { done, committed, reply, .. } = *self;
        let not_run = || StoreError::new(Kind::Unavailable, "the write did not run");
        let outcome = outcome.and_then(|()| done.ok_or_else(not_run)?);
        if let Ok(done) = &outcome {
            committed(done);
        }
        // A caller that went away is not told; its write stands.
        let _ = reply.send(outcome);
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

fn write_groups(
    name: &'static str,
    connection: &mut Connection,
    mut waiting: mpsc::Receiver<Message>,
    ground: &Ground,
) {
    let (mut told, mut group) = (Vec::with_capacity(GROUP), Vec::with_capacity(GROUP));
    let (mut closing, mut groups) = (false, 0_u32);
    while !closing && waiting.blocking_recv_many(&mut told, GROUP) > 0 {
        for message in told.drain(..) {
            match message {
                Message::Write(job) => group.push(job),
                Message::Close => closing = true,
            }
        }
        let outcome = commit_on(ground, name, connection, &mut group);
        for job in group.drain(..) {
            let outcome = outcome.clone();
            // What a caller does with the news is no matter of the writer's.
            if catch_unwind(AssertUnwindSafe(|| job.reply(outcome))).is_err() {
                tracing::error!(store = name, "what follows a write panicked");
            }
        }
        groups = groups.wrapping_add(1);
        if groups.is_multiple_of(LOOK_AT_LOG) && ground.log_length() > u64::from(LOG) {
            let emptied = empty_log(connection).unwrap_or(false);
            tracing::info!(store = name, emptied, "the write-ahead log is long");
        }
    }
    if ground.check().is_ok() {
        // Where somebody reads on, the log stays, and belongs to the file.
        let _ = empty_log(connection);
    }
}

/// Commits a group on the file that was opened: nothing is acknowledged that went to another one,
/// or to none.
fn commit_on(
    ground: &Ground,
    name: &'static str,
    connection: &mut Connection,
    group: &mut [Box<dyn Job>],
) -> Result<(), StoreError> {
    ground.check()?;
    commit(name, connection, group).map_err(|error| {
        let error = translate(format!("{name}: a write failed"), error);
        tracing::error!(store = name, kind = ?error.kind, jobs = group.len(),
            cause = %crate::error::chain(&error), "a group of writes was rolled back");
        error
    })?;
    ground.check()
}

fn commit(
    name: &'static str,
    connection: &mut Connection,
    group: &mut [Box<dyn Job>],
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in group {
        run_apart(name, &transaction, job.as_mut())?;
    }
    transaction.commit()
}

/// Runs a job so that a panic, which is a fault of this program, takes back and fails that job
/// alone: the others of its group and the writer go on.
fn run_apart(
    name: &'static str,
    transaction: &Connection,
    job: &mut dyn Job,
) -> rusqlite::Result<()> {
    let say = |sql: &str| transaction.prepare_cached(sql)?.execute([]).map(|_| ());
    say("SAVEPOINT job")?;
    // What the job may have left half done is in the transaction, and that is taken back.
    let ran = catch_unwind(AssertUnwindSafe(|| job.run(transaction)));
    if ran.is_err() {
        say("ROLLBACK TO job")?;
        tracing::error!(store = name, "a write panicked and was taken back");
        job.failed(panicked(name));
    } else if let Ok(outcome) = ran {
        outcome?;
    }
    say("RELEASE job")
}

/// What a caller is told whose job panicked. The panic itself is in the log, with its place.
fn panicked(name: &'static str) -> StoreError {
    StoreError::new(Kind::Unavailable, format!("{name}: a fault of this program, see its log"))
}

/// A log that nobody has open was left by a crash, and must be of the file it lies beside.
fn refuse_strange_log(path: &Path) -> Result<(), StoreError> {
    if ground::is_open_here(path) {
        return Ok(());
    }
    match File::open(path) {
        Ok(probe) if !evidence::is_open_elsewhere(&probe) => log::check(path),
        _ => Ok(()),
    }
}

/// The name of what SQLite has beside a file.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests;
