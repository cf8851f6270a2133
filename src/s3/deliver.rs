//! Delivers notifications to a receiver: the longest due first, several concurrently, each on its
//! own, so that one that always fails does not block those behind it.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use ledger::Effects;
use ledger::error::{StoreError, chain};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::outbox::{DueNotification, Outbox, RetryFate};

/// Notifications that are delivered concurrently.
const AT_ONCE: usize = 64;
/// Notifications in memory: in delivery, queued, or being updated.
const TAKEN: usize = 256;
/// More are read when fewer are in memory: as many as are delivered, and the next ones.
const FEW: usize = 2 * AT_ONCE;
/// The time limit of a delivery; beyond it the notification counts as refused.
const PATIENCE: Duration = Duration::from_secs(30);
/// The shortest time from one read of the outbox to the next while notifications are delivered: a
/// read under load then has many, and their events share a commit. One after a pause is read at
/// once.
const PACE: Duration = Duration::from_millis(2);
/// The longest sleep: a clock that was set back delays a delivery no longer.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// The wait before a failing outbox is read again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The time limit for deliveries in progress at the end. Interrupted ones are delivered again.
const FAREWELL: Duration = Duration::from_secs(5);

/// The receiver's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Accepted: it is never delivered again.
    Done,
    /// Refused for now, with the reason: it is retried with increasing waits, for a day.
    Later(String),
    /// Refused permanently, with the reason: it is set aside for an operator.
    Never(String),
}

/// A receiver of notifications.
///
/// # Contract
/// A notification is delivered at least once, in any order, several concurrently; it may be
/// delivered again after `Done` if the process ended before that was saved.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// Takes one EventBridge envelope.
    async fn receive(&self, event: &str) -> DeliveryOutcome;
}

impl Outbox {
    /// Delivers until `stop`, then waits for deliveries in progress.
    pub async fn deliver(
        &self,
        receiver: Arc<dyn Receiver>,
        effects: Arc<dyn Effects>,
        stop: CancellationToken,
    ) {
        let desk =
            DeliveryContext { outbox: self, receiver, effects, permits: Semaphore::new(AT_ONCE) };
        let (mut written, mut deliveries) = (self.watch(), Deliveries::of(&desk));
        let (mut look, mut nap, mut next_look) = (true, LONGEST_SLEEP, Instant::now());
        loop {
            let has_room = deliveries.taken.len() < FEW;
            if look && has_room && (deliveries.taken.is_empty() || next_look <= Instant::now()) {
                next_look = Instant::now() + PACE;
                // Marked as seen before the query, so that a row written during it is not missed.
                written.mark_unchanged();
                let due;
                (due, nap) = desk.due(&deliveries.taken).await;
                deliveries.take(due);
                look = deliveries.taken.len() >= TAKEN; // there may be more
            }
            tokio::select! {
                () = stop.cancelled() => break,
                again = deliveries.next() => look |= again,
                Ok(()) = written.changed(), if !look => look = true,
                () = tokio::time::sleep_until(next_look), if look && has_room => {}
                () = tokio::time::sleep(nap) => look = true,
            }
        }
        let rest = async {
            while !deliveries.taken.is_empty() {
                deliveries.next().await;
            }
        };
        let _ = timeout(FAREWELL, rest).await;
    }
}

/// The notifications in memory.
struct Deliveries<'a> {
    desk: &'a DeliveryContext<'a>,
    taken: HashSet<i64>,
    works: FuturesUnordered<BoxFuture<'a, DeliveryStep>>,
    /// Accepted ones, which wait for the end of the removal of others: one job removes all.
    accepted: Vec<i64>,
    is_removing: bool,
}

/// What was done with notifications.
enum DeliveryStep {
    /// The receiver accepted one.
    Accepted(i64),
    /// Accepted ones were removed, or are delivered again.
    Removed { changes: Vec<i64>, again: bool },
    /// A refused one was saved, or is delivered again.
    Refused(i64),
}

impl<'a> Deliveries<'a> {
    fn of(desk: &'a DeliveryContext<'a>) -> Self {
        let (taken, works, accepted) = (HashSet::new(), FuturesUnordered::new(), Vec::new());
        Self { desk, taken, works, accepted, is_removing: false }
    }

    fn take(&mut self, due: Vec<DueNotification>) {
        self.taken.extend(due.iter().map(|due| due.change));
        self.works.extend(due.into_iter().map(|due| self.desk.hand(due).boxed()));
    }

    /// Waits until something was done, and returns whether a notification will be delivered again.
    /// Waits for ever if there is none in memory. Nothing is lost if this is dropped.
    async fn next(&mut self) -> bool {
        let Some(step) = self.works.next().await else { return std::future::pending().await };
        let again = match step {
            DeliveryStep::Accepted(change) => {
                self.accepted.push(change);
                false
            }
            DeliveryStep::Removed { changes, again } => {
                self.is_removing = false;
                for change in changes {
                    self.taken.remove(&change);
                }
                again
            }
            DeliveryStep::Refused(change) => {
                self.taken.remove(&change);
                true
            }
        };
        if !self.is_removing && !self.accepted.is_empty() {
            self.is_removing = true;
            let accepted = std::mem::take(&mut self.accepted);
            self.works.push(self.desk.remove(accepted).boxed());
        }
        again
    }
}

/// The context of delivering one notification.
struct DeliveryContext<'a> {
    outbox: &'a Outbox,
    receiver: Arc<dyn Receiver>,
    effects: Arc<dyn Effects>,
    permits: Semaphore,
}

impl DeliveryContext<'_> {
    /// The due notifications, and how long to sleep without another event.
    async fn due(&self, taken: &HashSet<i64>) -> (Vec<DueNotification>, Duration) {
        let room = TAKEN.saturating_sub(taken.len());
        match self.outbox.due(self.effects.now(), taken, room).await {
            Ok((due, next)) => (due, until(next.map(|next| next - self.effects.now()))),
            Err(error) => {
                tracing::error!(cause = %chain(&error), "cannot read the outbox");
                (Vec::new(), AFTER_FAILURE)
            }
        }
    }

    /// Delivers one notification, and saves the result unless it was accepted.
    async fn hand(&self, due: DueNotification) -> DeliveryStep {
        let permit = self.permits.acquire().await;
        let verdict = ask(&*self.receiver, &due.event).await;
        drop(permit); // the receiver need not wait for the disk
        let change = due.change;
        let refusal = match verdict {
            DeliveryOutcome::Done => return DeliveryStep::Accepted(change),
            DeliveryOutcome::Later(why) => (due.refused(self.effects.now()), why),
            DeliveryOutcome::Never(why) => (RetryFate::Dead, why),
        };
        if let Err(error) = put_off(self.outbox, &due, refusal).await {
            failed(&error).await;
        }
        DeliveryStep::Refused(change)
    }

    /// Removes accepted notifications.
    async fn remove(&self, changes: Vec<i64>) -> DeliveryStep {
        let removed = self.outbox.taken(changes.clone()).await;
        let again = removed.is_err();
        if let Err(error) = removed {
            failed(&error).await;
        }
        DeliveryStep::Removed { changes, again }
    }
}

/// The rows are unchanged and are delivered again: later, or a full disk would spin.
async fn failed(error: &StoreError) {
    tracing::error!(cause = chain(error), "cannot write the outbox");
    tokio::time::sleep(AFTER_FAILURE).await;
}

fn until(wait: Option<chrono::TimeDelta>) -> Duration {
    let wait = wait.map_or(LONGEST_SLEEP, |wait| wait.to_std().unwrap_or_default());
    // Timers count in milliseconds: a wake-up that is too early would find nothing due and loop.
    wait.min(LONGEST_SLEEP) + Duration::from_millis(1)
}

async fn ask(receiver: &dyn Receiver, event: &str) -> DeliveryOutcome {
    let answer = AssertUnwindSafe(receiver.receive(event)).catch_unwind();
    match timeout(PATIENCE, answer).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => DeliveryOutcome::Later("the receiver panicked".to_owned()),
        Err(_) => DeliveryOutcome::Later(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn put_off(
    outbox: &Outbox,
    due: &DueNotification,
    (fate, why): (RetryFate, String),
) -> Result<(), StoreError> {
    let (change, attempts) = (due.change, due.attempts + 1);
    if fate == RetryFate::Dead {
        tracing::error!(
            change,
            attempts,
            why,
            event = due.event,
            "a notification failed for good and is dead"
        );
    } else {
        tracing::warn!(change, attempts, why, "a notification failed and will be retried");
    }
    outbox.put_off(change, fate, why).await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chrono::TimeDelta;
    use stores::sqlite::{Database, OpenMode};
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::super::outbox::{self, Backlog};
    use super::super::rows::SCHEMA;
    use super::super::testing::Fixed;
    use super::*;

    /// Answers by the event's first word, and reports the events.
    struct ByWord(mpsc::UnboundedSender<String>);

    #[async_trait]
    impl Receiver for ByWord {
        async fn receive(&self, event: &str) -> DeliveryOutcome {
            self.0.send(event.to_owned()).unwrap();
            match event.split(' ').next() {
                Some("later") => DeliveryOutcome::Later("busy".to_owned()),
                Some("never") => DeliveryOutcome::Never("nonsense".to_owned()),
                Some("panic") => panic!("as told"),
                Some("hang") => std::future::pending().await,
                _ => DeliveryOutcome::Done,
            }
        }
    }

    /// Reads the bucket, as the receiver of a server does, and counts the events.
    struct ByReading(Arc<Database>, mpsc::UnboundedSender<String>);

    #[async_trait]
    impl Receiver for ByReading {
        async fn receive(&self, event: &str) -> DeliveryOutcome {
            for _ in 0..3 {
                self.0.read(|db| db.query_row("SELECT 1", [], |_| Ok(()))).await.unwrap();
            }
            self.1.send(event.to_owned()).unwrap();
            DeliveryOutcome::Done
        }
    }

    struct World {
        _dir: tempfile::TempDir,
        db: Arc<Database>,
        outbox: Outbox,
        clock: Arc<Fixed>,
        given: mpsc::UnboundedReceiver<String>,
        sender: mpsc::UnboundedSender<String>,
        count: Mutex<i64>,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("objects.sqlite");
            let db = Arc::new(Database::open(&file, &SCHEMA, OpenMode::OrCreate).unwrap());
            let (sender, given) = mpsc::unbounded_channel();
            Self {
                outbox: Outbox::new(Arc::clone(&db)),
                db,
                clock: Arc::default(),
                given,
                sender,
                count: Mutex::default(),
                _dir: dir,
            }
        }

        async fn write(&self, event: &str) {
            let (event, at) = (event.to_owned(), self.clock.now());
            let change = {
                let mut count = self.count.lock().unwrap();
                *count += 1;
                *count
            };
            self.db.write(move |tx| outbox::insert(tx, change, at, &event)).await.unwrap();
            self.outbox.wake();
        }

        fn start(&self) -> (CancellationToken, JoinHandle<()>) {
            self.start_with(ByWord(self.sender.clone()))
        }

        fn start_with(
            &self,
            receiver: impl Receiver + 'static,
        ) -> (CancellationToken, JoinHandle<()>) {
            let (outbox, stop) = (self.outbox.clone(), CancellationToken::new());
            let receiver = Arc::new(receiver);
            let (clock, token) = (Arc::clone(&self.clock), stop.clone());
            let task = tokio::spawn(async move { outbox.deliver(receiver, clock, token).await });
            (stop, task)
        }

        async fn given(&mut self) -> String {
            let wait = timeout(Duration::from_secs(20), self.given.recv());
            wait.await.expect("something is delivered").unwrap()
        }

        /// Waits until the one row was retried this often.
        async fn until_tried(&self, attempts: i64) {
            let sql = "SELECT attempts FROM outbox";
            let tried =
                || self.db.read(move |db| db.query_row(sql, [], |row| row.get::<_, i64>(0)));
            while tried().await.unwrap() != attempts {
                tokio::task::yield_now().await;
            }
        }

        /// Polls until the outbox has these counts.
        async fn until(&self, waiting: u64, dead: u64) {
            let wanted = Backlog { waiting, dead };
            let look = async {
                while self.outbox.backlog().await.unwrap() != wanted {
                    tokio::task::yield_now().await;
                }
            };
            let found = timeout(Duration::from_secs(20), look).await;
            assert!(found.is_ok(), "{wanted:?}, not {:?}", self.outbox.backlog().await);
        }
    }

    #[tokio::test]
    async fn what_is_taken_goes() {
        let mut world = World::new();
        world.write("before").await;
        let (stop, task) = world.start();
        assert_eq!(world.given().await, "before");
        world.write("after").await;
        assert_eq!(world.given().await, "after");
        world.until(0, 0).await;
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_are_delivered_while_others_are_written_and_the_bucket_is_read() {
        const WRITTEN: usize = 2000;
        let mut world = World::new();
        let (stop, task) = world.start_with(ByReading(Arc::clone(&world.db), world.sender.clone()));
        let world_ref = &world;
        let writes = (0..WRITTEN).map(|n| async move { world_ref.write(&n.to_string()).await });
        futures::stream::iter(writes).buffer_unordered(16).collect::<Vec<_>>().await;
        for _ in 0..WRITTEN {
            world.given().await;
        }
        world.until(0, 0).await;
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn what_nobody_can_take_holds_up_nobody() {
        let mut world = World::new();
        for word in ["later", "never", "panic"] {
            for n in 0..20 {
                world.write(&format!("{word} {n}")).await;
            }
        }
        for _ in 0..AT_ONCE - 1 {
            world.write("hang").await;
        }
        world.write("good").await;
        let (stop, task) = world.start();
        while world.given().await != "good" {}
        world.until(40 + AT_ONCE as u64 - 1, 20).await;
        stop.cancel();
        task.abort(); // hanging ones would block the end
    }

    #[tokio::test]
    async fn what_is_refused_comes_again_later_and_is_set_aside_after_a_day() {
        let mut world = World::new();
        world.write("later").await;
        let (stop, task) = world.start();
        assert_eq!(world.given().await, "later");
        for attempts in 1..4 {
            world.until_tried(attempts).await;
            world.clock.pass(TimeDelta::seconds(61));
            world.outbox.wake();
            assert_eq!(world.given().await, "later");
        }
        world.until_tried(4).await;
        world.clock.pass(TimeDelta::hours(24));
        world.outbox.wake();
        assert_eq!(world.given().await, "later");
        world.until(0, 1).await;
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn what_a_crash_cut_off_comes_again() {
        let mut world = World::new();
        world.write("hang").await;
        let (_, task) = world.start();
        assert_eq!(world.given().await, "hang");
        task.abort();
        let (_, task) = world.start();
        assert_eq!(world.given().await, "hang");
        task.abort();
    }

    #[tokio::test]
    async fn what_was_accepted_and_cannot_be_removed_comes_again() {
        let mut world = World::new();
        let failing = "CREATE TRIGGER full BEFORE DELETE ON outbox
                       BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
        world.db.write(move |tx| tx.execute_batch(failing)).await.unwrap();
        for word in ["first", "second"] {
            world.write(word).await;
        }
        let (stop, task) = world.start();
        let mut given = [world.given().await, world.given().await];
        given.sort();
        assert_eq!(given, ["first", "second"]);
        given = [world.given().await, world.given().await];
        given.sort();
        assert_eq!(given, ["first", "second"]);
        // It may share a transaction with a removal, which fails.
        while world.db.write(|tx| tx.execute_batch("DROP TRIGGER full")).await.is_err() {}
        world.until(0, 0).await;
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_delays_nothing() {
        let mut world = World::new();
        world.clock.pass(TimeDelta::hours(2));
        world.write("later").await;
        let (stop, task) = world.start();
        assert_eq!(world.given().await, "later");
        world.until_tried(1).await;
        world.clock.pass(TimeDelta::hours(-1));
        world.outbox.wake();
        assert_eq!(world.given().await, "later", "one that waits for its next try");
        stop.cancel();
        task.await.unwrap();
        world.write("new").await;
        world.clock.pass(TimeDelta::seconds(-30));
        let (stop, task) = world.start();
        while world.given().await != "new" {}
        stop.cancel();
        task.await.unwrap();
    }
}
