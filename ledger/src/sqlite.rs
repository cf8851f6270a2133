//! One SQLite file: one writer thread that commits whatever is waiting as one transaction (group
//! commit), and a few readers beside it. The embedded stores of this project stand on it.
//!
//! An fsync costs the same for one row as for five hundred, so the writer takes everything that
//! is waiting, runs it in one transaction and answers all of it after the one `COMMIT`.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::{Kind, StoreError};

/// Jobs in one commit. Groups of 64 already reach the disk's best rate; more only adds latency.
const GROUP: usize = 512;
/// Jobs waiting for the writer before callers wait to hand theirs over.
const QUEUE: usize = 4096;
/// Reading connections, and so blocking reads, at once.
const READERS: usize = 8;
/// Pages in the write-ahead log before they are moved to the file: 16 MiB, since each move waits
/// for the disk twice.
const CHECKPOINT: u32 = 4_096;
/// How long one process waits for another that holds the file's write lock.
const BUSY: Duration = Duration::from_secs(5);
/// How long it pauses in between where SQLite does not wait by itself.
const PAUSE: Duration = Duration::from_millis(5);

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

/// Whether a missing file is made or is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Make the file when it is missing.
    OrCreate,
    /// The file must be there.
    Existing,
}

/// An open file. Dropping it commits what is waiting and ends the writer.
#[derive(Debug)]
pub struct Database {
    name: &'static str,
    jobs: mpsc::Sender<Box<dyn Job>>,
    readers: Arc<Readers>,
}

impl Database {
    /// Opens `path`, brings its schema up to date and starts its writer.
    ///
    /// # Errors
    /// `Misconfigured` for a file that is missing, foreign or newer than this program, `Corrupt`
    /// for one that is damaged, `Unavailable` for one that another process keeps locked.
    pub fn open(path: &Path, schema: &Schema, open: Open) -> Result<Self, StoreError> {
        let failed = |error| describe(schema.name, path, error);
        let mut writer = connect(path, open).map_err(failed)?;
        // Nothing is written, not even the journal mode, before the file is known to be ours; and
        // a file that is up to date opens without waiting for whoever is writing to it.
        let applied = steps_applied(&writer, path, schema)?;
        tune(&writer, schema).map_err(failed)?;
        if applied < schema.steps.len() {
            migrate(&mut writer, path, schema)?;
        }
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let name = schema.name;
        std::thread::Builder::new()
            .name(format!("{name}-writer"))
            .spawn(move || write_groups(name, &mut writer, waiting))
            .map_err(|e| StoreError::caused(Kind::Unavailable, "cannot start a writer", e))?;
        let readers = Arc::new(Readers {
            path: path.to_owned(),
            schema: *schema,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(READERS)),
        });
        Ok(Self { name, jobs, readers })
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
        self.jobs.send(job).await.map_err(|_| gone())?;
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

/// Reading connections, kept between reads.
struct Readers {
    path: PathBuf,
    schema: Schema,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    fn run<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let failed = |error| describe(self.schema.name, &self.path, error);
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path, Open::Existing)
                .and_then(|new| tune(&new, &self.schema).map(|()| new))
                .map_err(failed)?,
        };
        let answer = query(&connection).map_err(failed);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        answer
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A unit of writing that waits for its transaction.
trait Job: Send {
    fn run(&mut self, transaction: &Connection) -> rusqlite::Result<()>;
    fn reply(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Waiting<F, T, C> {
    job: Option<F>,
    done: Option<T>,
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
            self.done = Some(job(transaction)?);
        }
        Ok(())
    }

    fn reply(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { done, committed, reply, .. } = *self;
        let not_run = || StoreError::new(Kind::Unavailable, "the write did not run");
        let outcome = outcome.and_then(|()| done.ok_or_else(not_run));
        if let Ok(done) = &outcome {
            committed(done);
        }
        // A caller that went away is not told; its write stands.
        let _ = reply.send(outcome);
    }
}

fn write_groups(
    name: &'static str,
    connection: &mut Connection,
    mut waiting: mpsc::Receiver<Box<dyn Job>>,
) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.blocking_recv_many(&mut group, GROUP) > 0 {
        let outcome = commit(connection, &mut group).map_err(|error| {
            let error = translate(format!("{name}: a write failed"), error);
            tracing::error!(store = name, kind = ?error.kind, jobs = group.len(),
                cause = %crate::error::chain(&error), "a group of writes was rolled back");
            error
        });
        for job in group.drain(..) {
            job.reply(outcome.clone());
        }
    }
}

fn commit(connection: &mut Connection, group: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in group {
        job.run(&transaction)?;
    }
    transaction.commit()
}

fn connect(path: &Path, open: Open) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if open == Open::OrCreate {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
        // Made for its owner alone, whatever folder it is in; the files beside it follow. What
        // cannot be made is told by SQLite.
        let _ = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    }
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn tune(connection: &Connection, schema: &Schema) -> rusqlite::Result<()> {
    write_ahead(connection)?;
    let synchronous = if schema.durable { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Sets the journal mode. SQLite does not wait here for another process that is setting it on the
/// same new file, so that is done by hand.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let mut left = BUSY.as_millis() / PAUSE.as_millis();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && left > 0 => {
                left -= 1;
                std::thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// How many of the schema's steps the file has had. It only reads; a file that is foreign, or
/// newer than this program, is an error.
fn steps_applied(file: &Connection, path: &Path, schema: &Schema) -> Result<usize, StoreError> {
    let failed = |error| describe(schema.name, path, error);
    let refuse = |why: String| {
        Err(StoreError::new(Kind::Misconfigured, format!("{}: {why}", path.display())))
    };
    // One statement, so that all three are of the same moment.
    let form = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) \
                FROM pragma_application_id, pragma_user_version";
    let form = file.query_row(form, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let (owner, applied, objects): (i32, i32, i32) = form.map_err(failed)?;
    if owner != schema.application_id && (owner, applied, objects) != (0, 0, 0) {
        return refuse(format!("is not a {} file of asset-ledger; it was left alone", schema.name));
    }
    let known = schema.steps.len();
    match usize::try_from(applied) {
        Ok(applied) if applied <= known => Ok(applied),
        _ => refuse(format!(
            "was written by a newer asset-ledger (form {applied}, this program knows {known}); \
             run that version, or a later one",
        )),
    }
}

fn migrate(connection: &mut Connection, path: &Path, schema: &Schema) -> Result<(), StoreError> {
    let failed = |error| describe(schema.name, path, error);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Asked again: another process may have been faster.
    let applied = steps_applied(&transaction, path, schema)?;
    for step in &schema.steps[applied..] {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "application_id", schema.application_id)
        .and_then(|()| transaction.pragma_update(None, "user_version", schema.steps.len()))
        .map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn describe(name: &str, path: &Path, error: rusqlite::Error) -> StoreError {
    translate(format!("{name} ({})", path.display()), error)
}

/// The kind that a caller can act on.
fn translate(context: String, error: rusqlite::Error) -> StoreError {
    use ErrorCode as C;
    let kind = match error.sqlite_error_code() {
        Some(C::PermissionDenied | C::ReadOnly | C::CannotOpen) => Kind::Misconfigured,
        // No code at all: a value that is not of the type its column was declared with.
        Some(C::DatabaseCorrupt | C::NotADatabase) | None => Kind::Corrupt,
        Some(_) => Kind::Unavailable,
    };
    StoreError::caused(kind, context, error)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const EMPTY: Schema =
        Schema { name: "test", application_id: 1, steps: &["SELECT 1"], durable: true };

    #[tokio::test]
    async fn an_aborted_read_keeps_its_permit_until_its_work_ends() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("test.sqlite");
        let db = Arc::new(Database::open(&file, &EMPTY, Open::OrCreate).unwrap());
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..20 {
            let reads = (0..READERS).map(|_| {
                let (db, now, most) = (Arc::clone(&db), Arc::clone(&now), Arc::clone(&most));
                tokio::spawn(async move {
                    let query = move |_: &Connection| {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(20));
                        now.fetch_sub(1, Ordering::SeqCst);
                        Ok(())
                    };
                    let _ = db.read(query).await;
                })
            });
            let reads: Vec<_> = reads.collect();
            tokio::time::sleep(Duration::from_millis(5)).await;
            reads.iter().for_each(tokio::task::JoinHandle::abort);
        }
        db.read(|_| Ok(())).await.unwrap();
        let most = most.load(Ordering::SeqCst);
        assert!(most <= READERS, "{most} reads at once");
    }
}
