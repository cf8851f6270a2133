//! Commands and projections on an embedded DynamoDB, compared with raw conditional puts.
//!
//! A new engine for every measurement: it slows down with its data. All figures include its own
//! work and the SDK's; so CPU time is shown with the rates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
};
use engine::{Engine, Tables};
use ledger::asset::Declaration;
use ledger::id::Tenant;
use ledger::record::EventSource;
use ledger::service::{Caller, LedgerService};
use ledger::testing::{MemoryBucket, TestEffects};
use projections::Runner;
use projections::runner::ProjectionHint;
use projections::testing::Story;
use stores::DynamoJournal;
use stores::DynamoViews;

use crate::journal::{event, rate};
use crate::program::cpu;
use crate::table::ResultsTable;

/// The minimum time of a measurement.
pub(crate) const MEASURED: Duration = Duration::from_secs(4);
/// Parallel clients: as many as a runner's projections.
pub(crate) const CLIENTS: u32 = 16;
/// Parallel runners, as many as in the stream's mapping: one is one task, on one core.
const RUNNERS: u32 = 4;
/// Records of one batch of the stream.
const BATCH: u32 = 100;
/// Batches for each runner: more than it can project during a measurement.
const BATCHES: u32 = 200;

/// A rate per second, and CPU time per thousand, with the engine's.
pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) cpu: f64,
}

pub(crate) async fn ratios(table: &mut ResultsTable) -> Result<()> {
    let before = clients(raw_put).await?;
    let created = clients(create).await?;
    let between = clients(raw_put).await?;
    compare(table, "DynamoDB: Service::create, 16 clients", &created, [&before, &between]);
    let single = project(1).await?;
    let after = clients(raw_put).await?;
    compare(table, "DynamoDB: events projected, 1 per asset", &single, [&between, &after]);
    let coalesced = project(3).await?;
    let last = clients(raw_put).await?;
    compare(table, "DynamoDB: events projected, 3 per asset", &coalesced, [&after, &last]);
    Ok(())
}

/// Uses the mean of a measurement before and one after: machines vary.
fn compare(table: &mut ResultsTable, what: &str, ours: &Measured, [a, b]: [&Measured; 2]) {
    let raw = Measured { rate: f64::midpoint(a.rate, b.rate), cpu: f64::midpoint(a.cpu, b.cpu) };
    table.ratio(what, ours.rate, "raw conditional puts, 16 clients", raw.rate, "≥ 0.8");
    let cpu = |it: &Measured| format!("{:.2} s", it.cpu);
    let beside = format!("raw conditional puts: {}", cpu(&raw));
    table.figure("the same, CPU per thousand", &cpu(ours), &beside, "");
}

/// The operation that each client repeats, with a number per call.
type Deed = Box<dyn AsyncDeed>;

#[async_trait::async_trait]
trait AsyncDeed: Send + Sync {
    async fn once(&self, number: u64) -> Result<()>;
}

async fn clients(deed: fn(Tables) -> Deed) -> Result<Measured> {
    let deed: Arc<Deed> = Arc::new(deed(Engine::new().tables().await));
    let (start, cpu) = (Instant::now(), cpu(std::process::id())?);
    let tasks = (0..CLIENTS).map(|client| {
        let deed = Arc::clone(&deed);
        tokio::spawn(async move {
            let mut count = 0;
            while start.elapsed() < MEASURED {
                deed.once(u64::from(client) << 32 | count).await?;
                count += 1;
            }
            anyhow::Ok(count)
        })
    });
    let mut total = 0;
    for task in tasks.collect::<Vec<_>>() {
        total += task.await??;
    }
    measured(total, start, cpu)
}

struct RawPut(Tables);

fn raw_put(tables: Tables) -> Deed {
    Box::new(RawPut(tables))
}

#[async_trait::async_trait]
impl AsyncDeed for RawPut {
    async fn once(&self, number: u64) -> Result<()> {
        let (key, line) = event(number)?;
        let put = self.0.client.put_item().table_name(&self.0.journal);
        put.item("pk", AttributeValue::S(key.partition()))
            .item("sk", AttributeValue::N(line.version.to_string()))
            .item("body", AttributeValue::S(line.body))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await?;
        Ok(())
    }
}

struct Create(LedgerService);

fn create(tables: Tables) -> Deed {
    let journal = Arc::new(DynamoJournal::new(tables.client, tables.journal));
    let (bucket, effects) = (Arc::<MemoryBucket>::default(), Arc::new(TestEffects::seeded(1)));
    Box::new(Create(LedgerService::new(journal, bucket, effects, "files")))
}

#[async_trait::async_trait]
impl AsyncDeed for Create {
    async fn once(&self, _: u64) -> Result<()> {
        let caller = Caller {
            tenant: Tenant::default(),
            actor: "anonymous".to_owned(),
            source: EventSource::Api,
            request: "0c5b3a52-6f6d-4f0e-9f52-8f7f7f0f9d00".to_owned(),
            own_only: false,
        };
        self.0.create(&caller, Declaration::plain()).await?;
        Ok(())
    }
}

/// Projects batches like the stream's, of `events` events per asset.
async fn project(events: u32) -> Result<Measured> {
    let tables = Engine::new().tables().await;
    let journal = Arc::new(DynamoJournal::new(tables.client.clone(), tables.journal));
    let views = Arc::new(DynamoViews::new(tables.client, tables.views, 8));
    let runner = Runner::new(journal, views, Arc::new(TestEffects::seeded(1)));
    let batches = |runner| (0..BATCHES).map(move |nth| batch(nth * RUNNERS + runner, events));
    let waiting: Vec<Vec<_>> = (0..RUNNERS).map(|runner| batches(runner).collect()).collect();
    let (start, cpu) = (Instant::now(), cpu(std::process::id())?);
    let runners =
        waiting.into_iter().map(|batches| tokio::spawn(run(runner.clone(), batches, start)));
    let mut total = 0;
    for runner in runners.collect::<Vec<_>>() {
        total += runner.await??;
    }
    measured(total, start, cpu)
}

async fn run(runner: Runner, batches: Vec<Vec<ProjectionHint>>, start: Instant) -> Result<u64> {
    let mut total = 0;
    for batch in batches.iter().take_while(|_| start.elapsed() < MEASURED) {
        let report = runner.project(batch).await;
        anyhow::ensure!(report.failed.is_empty() && report.parked == 0, "{report:?}");
        total += batch.len() as u64;
    }
    Ok(total)
}

fn batch(nth: u32, events: u32) -> Vec<ProjectionHint> {
    let assets = (0..BATCH / events).map(|asset| {
        let story = Story::begin("main", nth * BATCH + asset);
        if events == 1 { story } else { story.received().uploaded() }
    });
    let hint = |story: Story| {
        let lines = story.lines.into_iter();
        lines.map(move |line| ProjectionHint {
            key: story.key.clone(),
            version: line.version,
            lines: vec![line],
        })
    };
    assets.flat_map(hint).collect()
}

#[allow(clippy::cast_precision_loss)]
fn measured(total: u64, start: Instant, before: f64) -> Result<Measured> {
    let cpu = (cpu(std::process::id())? - before) / total as f64 * 1_000.0;
    Ok(Measured { rate: rate(total, start.elapsed()), cpu })
}
