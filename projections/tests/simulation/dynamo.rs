//! The adapters on DynamoDB, on their own engine, with two additions that a run needs: an order of
//! arrival, and a store for a follower's position.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use engine::{Engine, Fault, Tables};
use ledger::StoreError;
use ledger::history::History;
use ledger::id::PartitionKey;
use ledger::journal::{Appended, Arrival, Arrivals, Journal, JournalDecorator};
use ledger::record::StoredLine;
use ledger::testing::{Chance, MemoryJournal};
use projections::generations::{Generation, GenerationList, ReplayProgress};
use projections::position::{Position, PositionCommit, Positions};
use projections::testing::MemoryViews;
use projections::views::PutOutcome;
use projections::{Generations, Rows};
use stores::DynamoJournal;
use stores::DynamoLanes;
use stores::DynamoViews;
use tokio::sync::watch;

/// Requests in a thousand that fail on the wire, beside the faults of the run itself.
const WIRE_FAULTS: u64 = 40;
/// High enough that the SDK never gives up: the run loses calls by itself.
const ATTEMPTS: u32 = 12;
/// The SDK's timeout of a reply.
const PATIENCE: Duration = Duration::from_millis(10);
/// The same at an endpoint, in real time.
const REAL_PATIENCE: Duration = Duration::from_secs(10);
/// The delay before the SDK's first retry there.
const REAL_WAIT: Duration = Duration::from_millis(25);

/// New tables on a new engine, over a faulty connection.
pub(crate) async fn stores(seed: u64) -> (Arrived, Beside, DynamoLanes) {
    let engine = Engine::new();
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(PATIENCE).build();
    let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
    let config = engine.config().timeout_config(timeouts).retry_config(retries);
    let tables = engine.tables().await.through(Client::from_conf(config.build()));
    let chance = Chance::new(!seed);
    let faults =
        [Fault::Lost, Fault::ReplyLost, Fault::ReplyHangs, Fault::THROTTLED, Fault::INTERNAL];
    engine.fail(move |_| chance.happens(WIRE_FAULTS).then(|| *chance.pick(&faults).unwrap()));
    stores_in(tables)
}

fn stores_in(tables: Tables) -> (Arrived, Beside, DynamoLanes) {
    let journal = Arc::new(DynamoJournal::new(tables.client.clone(), tables.journal));
    let lanes = DynamoLanes::new(tables.client.clone(), &tables.views);
    let rows = DynamoViews::new(tables.client, tables.views, 4);
    let rows = Beside { rows, position: MemoryViews::default() };
    (Arrived { journal, order: Arc::default() }, rows, lanes)
}

/// Tables at the environment's endpoint, created once for all seeds: each seed is a tenant. An
/// endpoint can need the time of many seeds to create a table.
pub(crate) struct Given(Tables);

impl Given {
    /// `None` if the environment names no endpoint.
    pub(crate) async fn make() -> Option<Self> {
        Some(Self(Tables::create(client()?, false).await))
    }

    /// For one seed. A connection ends with the runtime that opened it, and each seed has its own.
    pub(crate) fn stores(&self) -> (Arrived, Beside, DynamoLanes) {
        stores_in(self.0.through(client().unwrap()))
    }

    pub(crate) async fn remove(self) {
        self.0.through(client().unwrap()).remove().await;
    }
}

fn client() -> Option<Client> {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(REAL_PATIENCE).build();
    let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
    let retries = retries.with_initial_backoff(REAL_WAIT);
    let config = engine::endpoint()?.timeout_config(timeouts).retry_config(retries);
    Some(Client::from_conf(config.build()))
}

/// A journal with its order of arrival beside it.
pub(crate) struct Arrived {
    journal: Arc<DynamoJournal>,
    order: Arc<MemoryJournal>,
}

impl JournalDecorator for Arrived {
    type Inner = DynamoJournal;

    fn inner(&self) -> &DynamoJournal {
        &self.journal
    }

    /// Continues if the caller crashes: a written event has arrived.
    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        let (journal, order, partition) =
            (self.journal.clone(), self.order.clone(), partition.clone());
        let append = async move {
            let answer = journal.append_to(&partition, line.clone()).await?;
            let ours = match &answer {
                Appended::Written => true,
                Appended::Taken(held) => *held == line,
            };
            if ours {
                order.append_to(&partition, line).await?;
            }
            Ok(answer)
        };
        tokio::spawn(append).await.unwrap()
    }
}

#[async_trait]
impl Arrivals for Arrived {
    async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError> {
        self.order.arrivals(after, limit).await
    }

    fn latest(&self) -> watch::Receiver<u64> {
        self.order.latest()
    }
}

/// Rows, and a position beside them.
pub(crate) struct Beside {
    rows: DynamoViews,
    position: MemoryViews,
}

#[async_trait]
impl Generations for Beside {
    async fn generations(&self) -> Result<GenerationList, StoreError> {
        self.rows.generations().await
    }

    async fn replace(
        &self,
        seen: &GenerationList,
        list: &GenerationList,
    ) -> Result<bool, StoreError> {
        self.rows.replace(seen, list).await
    }

    async fn progress(&self) -> Result<Option<ReplayProgress>, StoreError> {
        self.rows.progress().await
    }

    async fn save(
        &self,
        seen: Option<&ReplayProgress>,
        to: &ReplayProgress,
    ) -> Result<bool, StoreError> {
        self.rows.save(seen, to).await
    }

    fn rows(&self, of: Generation) -> Arc<dyn Rows> {
        self.rows.rows(of)
    }

    async fn remove(&self, generation: Generation) -> Result<u64, StoreError> {
        self.rows.remove(generation).await
    }
}

#[async_trait]
impl Positions for Beside {
    async fn load(&self) -> Result<Position, StoreError> {
        self.position.load().await
    }

    /// The rows first: without the position, they are written again.
    async fn commit(
        &self,
        generations: &[Generation],
        histories: &[History],
        from: &Position,
        to: &Position,
    ) -> Result<PositionCommit, StoreError> {
        let (mut puts, mut apart) = (Vec::new(), Vec::new());
        for (nth, generation) in generations.iter().enumerate() {
            for history in histories {
                match self.rows(*generation).put_checked(history).await? {
                    PutOutcome::Contradicted(_) => apart.push(history.asset().key.clone()),
                    put if nth == 0 => puts.push(put),
                    _ => {}
                }
            }
        }
        if !apart.is_empty() {
            return Ok(PositionCommit::Apart(apart));
        }
        Ok(match self.position.commit(&[], &[], from, to).await? {
            PositionCommit::Moved(_) => PositionCommit::Moved(puts),
            other => other,
        })
    }
}
