//! One SQLite file: one writer thread that commits whatever is waiting as one transaction (group
//! commit), and a few readers beside it. The embedded stores of this project stand on it.
//!
//! An fsync costs the same for one row as for five hundred, so the writer takes everything that
//! is waiting, runs it in one transaction and answers all of it after the one `COMMIT`.

mod evidence;
mod file;
mod readers;

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use self::file::{connect, describe, migrate, steps_applied, translate, tune};
use self::readers::Readers;
use crate::error::{Kind, StoreError};

/// Jobs in one commit. Groups of 64 already reach the disk's best rate; more only adds latency.
const GROUP: usize = 512;
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

/// An open file. Dropping it commits what is waiting and ends the writer.
#[derive(Debug)]
pub struct Database {
    name: &'static str,
    /// None where nothing is written.
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    readers: Arc<Readers>,
}

impl Database {
    /// Opens `path`, brings its schema up to date and starts its writer.
    ///
    /// # Errors
    /// `Misconfigured` for a file that is missing, foreign or newer than this program, `Corrupt`
    /// for one that is damaged, `Unavailable` for one that another process keeps locked.
    pub fn open(path: &Path, schema: &Schema, open: Open) -> Result<Self, StoreError> {
        let name = schema.name;
        if open == Open::ReadOnly {
            let readers = Arc::new(Readers::of_evidence(path, schema)?);
            return Ok(Self { name, jobs: None, readers });
        }
        let failed = |error| describe(name, path, error);
        let mut writer = connect(path, open == Open::OrCreate).map_err(failed)?;
        // Nothing is written, not even the journal mode, before the file is known to be ours; and
        // a file that is up to date opens without waiting for whoever is writing to it.
        let applied = steps_applied(&writer, path, schema)?;
        tune(&writer, schema).map_err(failed)?;
        if applied < schema.steps.len() {
            migrate(&mut writer, path, schema)?;
        }
        let (jobs, waiting) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name(format!("{name}-writer"))
            .spawn(move || write_groups(name, &mut writer, waiting))
            .map_err(|e| StoreError::caused(Kind::Unavailable, "cannot start a writer", e))?;
        let readers = Arc::new(Readers::shared(path, schema));
        Ok(Self { name, jobs: Some(jobs), readers })
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
        jobs.send(job).await.map_err(|_| gone())?;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::readers::READERS;
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
