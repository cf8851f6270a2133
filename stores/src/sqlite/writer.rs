//! The single thread that writes to a file: it commits waiting jobs as groups.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc;

use super::file::{LOG, empty_log, translate};
use super::file_identity::FileIdentity;
use super::readers::Readers;
use ledger::error::{StoreError, StoreErrorKind, chain};

/// Jobs in one commit. Groups of 64 already reach the disk's best rate; more only adds latency.
const GROUP: usize = 512;
/// Groups between two checks of the log's length.
const LOOK_AT_LOG: u32 = 64;

/// A message to the writer.
pub(super) enum Message {
    Write(Box<dyn WriteJob>),
    Close,
}

/// A unit of writing that waits for its transaction.
pub(super) trait WriteJob: Send {
    fn run(&mut self, transaction: &Connection) -> rusqlite::Result<()>;
    /// Records a panic of the job: its writes were rolled back, for any result of the group.
    fn failed(&mut self, error: StoreError);
    fn reply(self: Box<Self>, outcome: Result<(), StoreError>);
}

pub(super) struct Waiting<F, T, A> {
    job: Option<F>,
    done: Option<Result<T, StoreError>>,
    answered: A,
}

impl<F, T, A> Waiting<F, T, A> {
    pub(super) fn new(job: F, answered: A) -> Self {
        Self { job: Some(job), done: None, answered }
    }
}

impl<F, T, A> WriteJob for Waiting<F, T, A>
where
    T: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    A: FnOnce(Result<T, StoreError>) + Send,
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
        let Self { done, answered, .. } = *self;
        let not_run = || StoreError::new(StoreErrorKind::Unavailable, "the write did not run");
        answered(outcome.and_then(|()| done.ok_or_else(not_run)?));
    }
}

/// Commits waiting jobs, group by group, until the last handle is dropped or the close message.
pub(super) fn write_groups(
    name: &'static str,
    connection: &mut Connection,
    mut waiting: mpsc::Receiver<Message>,
    ground: &FileIdentity,
    readers: &Readers,
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
            // A panic in the caller's callback does not affect the writer.
            if catch_unwind(AssertUnwindSafe(|| job.reply(outcome))).is_err() {
                tracing::error!(store = name, "the callback of a write panicked");
            }
        }
        groups = groups.wrapping_add(1);
        if groups.is_multiple_of(LOOK_AT_LOG) && ground.log_length() > u64::from(LOG) {
            // Overlapping readers can block SQLite for longer than it waits.
            let paused = readers.pause();
            let emptied = empty_log(connection).unwrap_or(false);
            drop(paused);
            tracing::info!(store = name, emptied, "the write-ahead log is over its limit");
        }
    }
    if ground.check().is_ok() {
        // If a reader still uses the log, it stays, and belongs to the file.
        let _ = empty_log(connection);
    }
}

/// Commits a group on the opened file: no write to another file, or to a removed one, is
/// acknowledged.
fn commit_on(
    ground: &FileIdentity,
    name: &'static str,
    connection: &mut Connection,
    group: &mut [Box<dyn WriteJob>],
) -> Result<(), StoreError> {
    ground.check()?;
    commit(name, connection, group).map_err(|error| {
        let error = translate(format!("{name}: a write failed"), error);
        tracing::error!(store = name, kind = ?error.kind, jobs = group.len(),
            cause = %chain(&error), "a group of writes was rolled back");
        error
    })?;
    ground.check()
}

fn commit(
    name: &'static str,
    connection: &mut Connection,
    group: &mut [Box<dyn WriteJob>],
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let [job] = group {
        // Without a savepoint, for which SQLite copies each page before its first change.
        if !run_caught(name, &transaction, job.as_mut())? {
            return transaction.rollback();
        }
    } else {
        let sql = ["SAVEPOINT job", "ROLLBACK TO job", "RELEASE job"];
        let [begin, undo, end] = sql.map(|sql| transaction.prepare_cached(sql));
        let (mut begin, mut undo, mut end) = (begin?, undo?, end?);
        for job in group {
            begin.execute([])?;
            if !run_caught(name, &transaction, job.as_mut())? {
                undo.execute([])?;
            }
            end.execute([])?;
        }
    }
    raise_change_counter(&transaction)?;
    transaction.commit()
}

/// Writes the file's first page, and with it the change counter: in WAL mode SQLite raises it only
/// then. So each commit has its own counter value, which distinguishes an older file from the one
/// for which the log was written.
fn raise_change_counter(transaction: &Connection) -> rusqlite::Result<()> {
    let steps: i64 =
        transaction.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?;
    transaction.prepare_cached(&format!("PRAGMA user_version = {steps}"))?.execute([]).map(drop)
}

/// Runs a job; `false` if it panicked, which is a fault of this program. Its partial writes are
/// then in the transaction, and the caller rolls them back: only that job fails.
fn run_caught(
    name: &'static str,
    transaction: &Connection,
    job: &mut dyn WriteJob,
) -> rusqlite::Result<bool> {
    if let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| job.run(transaction))) {
        return outcome.map(|()| true);
    }
    tracing::error!(store = name, "a write panicked and was rolled back");
    job.failed(panicked(name));
    Ok(false)
}

/// The error for a caller whose job panicked. The log has the panic with its location.
fn panicked(name: &'static str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        format!("{name}: a fault of this program, see its log"),
    )
}
