//! Journal, rows and lanes in memory, behind a network: requests take time, are throttled or lose
//! their replies, and are counted in capacity units as DynamoDB counts them.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ledger::asset::Asset;
use ledger::error::StoreErrorKind;
use ledger::history::History;
use ledger::id::{Key, PartitionKey, Tenant};
use ledger::journal::scan::{ScanPosition, Scanned, Segment};
use ledger::journal::{Appended, Journal, Scan};
use ledger::record::StoredLine;
use ledger::testing::{Chance, MemoryJournal};
use ledger::{Effects, StoreError};
use projections::feed::{FeedLane, LaneEntry, LaneWrite, Lanes};
use projections::generations::{Generation, GenerationList, LIST_LEASE, ReplayProgress};
use projections::rows::RowPage;
use projections::testing::{MemoryLanes, MemoryViews};
use projections::totals::{StoredTotals, Totals};
use projections::views::{AssetPage, ListQuery, Parked, PutOutcome};
use projections::{Generations, Rows, Views};
use tokio::time::{Instant, sleep};

/// A request's time without load, and the mean of the exponential part.
const FLOOR_MS: u64 = 3;
const TAIL_MS: f64 = 2.0;
/// Reads with eventual consistency, in a thousand, that reach a replica which lags, and the mean of
/// its lag: far more than a table shows, so that a fallback is needed often.
const LAGGING: u64 = 100;
const LAG_MS: f64 = 300.0;
/// Bytes of a write unit, and of a read unit with strong consistency.
const WRITE_UNIT: usize = 1_024;
const READ_UNIT: usize = 4_096;
/// Bytes of an item besides its text: the names and its key.
const AROUND: usize = 60;

/// Capacity units. Reads are counted in halves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Units {
    pub(crate) writes: u64,
    pub(crate) half_reads: u64,
    /// The write units of the lanes.
    pub(crate) lanes: u64,
}

type WrittenRows = HashMap<(Generation, Key), Vec<(Instant, Asset)>>;

/// The state that all processes share.
pub(crate) struct Cloud {
    pub(crate) chance: Chance,
    pub(crate) journal: MemoryJournal,
    pub(crate) views: MemoryViews,
    pub(crate) lanes: Arc<MemoryLanes>,
    per_mille: AtomicU64,
    /// What every read with eventual consistency shows, in a test of such reads.
    frozen: Mutex<Option<Instant>>,
    units: Mutex<Units>,
    /// The rows that were written, each with its time, for reads that lag.
    rows: Mutex<WrittenRows>,
    /// The times of the events.
    events: Mutex<HashMap<PartitionKey, Vec<Instant>>>,
    began: Instant,
}

impl Cloud {
    /// Of a seed. `per_mille` of the requests are throttled, and as many lose their reply.
    pub(crate) fn new(seed: u64, per_mille: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            journal: MemoryJournal::default(),
            views: MemoryViews::default(),
            lanes: Arc::default(),
            per_mille: AtomicU64::new(per_mille),
            frozen: Mutex::default(),
            units: Mutex::default(),
            rows: Mutex::default(),
            events: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// Ends all faults.
    pub(crate) fn calm(&self) {
        self.per_mille.store(0, Ordering::Relaxed);
    }

    /// From now on, reads with eventual consistency show this moment.
    pub(crate) fn freeze(&self) {
        *self.frozen.lock().unwrap() = Some(Instant::now());
    }

    /// Lets reads with eventual consistency show a row that the store does not have any more.
    pub(crate) fn show_removed(&self, row: Asset) {
        let of = (Generation::FIRST, row.key.clone());
        self.rows.lock().unwrap().insert(of, vec![(self.began, row)]);
    }

    pub(crate) fn spent(&self) -> Units {
        *self.units.lock().unwrap()
    }

    /// A command: a load of the history unless it is the first event, and an append.
    pub(crate) async fn command(&self, key: &Key, line: StoredLine) {
        if line.version > 1 {
            let history = self.journal.history(key).await.unwrap();
            self.read(bytes(&history), 2);
        }
        self.wrote(AROUND + line.body.len());
        assert_eq!(self.journal.append(key, line).await.unwrap(), Appended::Written);
        let mut events = self.events.lock().unwrap();
        events.entry(key.clone().into()).or_default().push(Instant::now());
    }

    pub(crate) fn forget_units(&self) {
        *self.units.lock().unwrap() = Units::default();
    }

    fn wrote(&self, bytes: usize) {
        self.units.lock().unwrap().writes += bytes.div_ceil(WRITE_UNIT) as u64;
    }

    /// A read of so many bytes, with `halves` half units for each unit of data.
    fn read(&self, bytes: usize, halves: u64) {
        let units = bytes.max(1).div_ceil(READ_UNIT) as u64;
        self.units.lock().unwrap().half_reads += halves * units;
    }

    fn exponential(&self, mean: f64) -> f64 {
        let share = f64::from(u32::try_from(self.chance.below(1 << 24)).unwrap() + 1);
        -mean * (share / f64::from(1 << 24)).ln()
    }

    /// The moment that a read with eventual consistency shows.
    fn seen(&self) -> Instant {
        if let Some(frozen) = *self.frozen.lock().unwrap() {
            return frozen;
        }
        if !self.chance.happens(LAGGING) {
            return Instant::now();
        }
        let lag = Duration::from_secs_f64(self.exponential(LAG_MS) / 1_000.0);
        Instant::now().checked_sub(lag).unwrap_or(self.began)
    }

    /// A request: its effect is in the middle of its time.
    async fn request<T>(
        &self,
        effect: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few ms")]
        let ms = FLOOR_MS + self.exponential(TAIL_MS).round() as u64;
        let there = self.chance.below(ms);
        sleep(Duration::from_millis(there)).await;
        let per_mille = self.per_mille.load(Ordering::Relaxed);
        let throttled = self.chance.happens(per_mille);
        let answer = if throttled { None } else { Some(effect.await) };
        sleep(Duration::from_millis(ms - there)).await;
        match answer {
            None => Err(StoreError::new(StoreErrorKind::Throttled, "too many requests")),
            Some(Ok(_)) if self.chance.happens(per_mille) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "the reply was lost"))
            }
            Some(answer) => answer,
        }
    }
}

fn bytes(lines: &[StoredLine]) -> usize {
    lines.iter().map(|line| AROUND + line.body.len()).sum()
}

/// The clock of one process: it is fast or slow by some seconds, and at the rate of all others.
pub(crate) struct ProcessClock {
    cloud: Arc<Cloud>,
    offset: TimeDelta,
}

impl ProcessClock {
    pub(crate) fn new(cloud: Arc<Cloud>) -> Self {
        let offset = i64::try_from(cloud.chance.below(4_000)).unwrap() - 2_000;
        Self { cloud, offset: TimeDelta::milliseconds(offset) }
    }
}

impl Effects for ProcessClock {
    fn now(&self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.cloud.began.elapsed()).unwrap();
        DateTime::UNIX_EPOCH + TimeDelta::days(20_010) + passed + self.offset
    }

    fn random(&self) -> u128 {
        u128::from(self.cloud.chance.draw())
    }
}

/// A connection of a process.
#[derive(Clone)]
pub(crate) struct Connection(pub(crate) Arc<Cloud>);

#[async_trait]
impl Journal for Connection {
    async fn history_of(&self, partition: &PartitionKey) -> Result<Vec<StoredLine>, StoreError> {
        let read = async {
            let lines = self.0.journal.history_of(partition).await?;
            self.0.read(bytes(&lines), 2);
            Ok(lines)
        };
        self.0.request(read).await
    }

    async fn history_eventually(&self, key: &Key) -> Result<Vec<StoredLine>, StoreError> {
        let read = async {
            let mut lines = self.0.journal.history(key).await?;
            self.0.read(bytes(&lines), 1);
            let (seen, events) = (self.0.seen(), self.0.events.lock().unwrap());
            let there =
                events.get(&key.clone().into()).into_iter().flatten().filter(|at| **at <= seen);
            lines.truncate(there.count());
            Ok(lines)
        };
        self.0.request(read).await
    }

    async fn last_of(&self, partition: &PartitionKey) -> Result<Option<StoredLine>, StoreError> {
        self.0.read(1, 2);
        self.0.request(self.0.journal.last_of(partition)).await
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        self.0.wrote(AROUND + line.body.len());
        self.0.request(self.0.journal.append_to(partition, line)).await
    }
}

/// A replay's reads are not counted: the simulation is about projectors.
#[async_trait]
impl Scan for Connection {
    async fn segments(&self, count: u32) -> Result<Vec<Segment>, StoreError> {
        self.0.journal.segments(count).await
    }

    async fn page(
        &self,
        segment: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError> {
        self.0.journal.page(segment, after).await
    }
}

#[async_trait]
impl Lanes for Connection {
    async fn last(&self, lane: &FeedLane) -> Result<Option<LaneEntry>, StoreError> {
        self.0.read(READ_UNIT, 2);
        self.0.request(self.0.lanes.last(lane)).await
    }

    async fn put(&self, lane: &FeedLane, place: &LaneEntry) -> Result<LaneWrite, StoreError> {
        let put = async {
            let written = self.0.lanes.put(lane, place).await?;
            // A write that finds another item pays for the larger of the two.
            let held = match &written {
                LaneWrite::Taken(held) => held.len(),
                LaneWrite::Written => 0,
            };
            let size = AROUND + place.text.len().max(held);
            self.0.wrote(size);
            self.0.units.lock().unwrap().lanes += size.div_ceil(WRITE_UNIT) as u64;
            Ok(written)
        };
        self.0.request(put).await
    }

    async fn places(
        &self,
        lane: &FeedLane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LaneEntry>, StoreError> {
        self.0.request(self.0.lanes.places(lane, from, limit)).await
    }
}

#[async_trait]
impl Generations for Connection {
    fn list_lease(&self) -> Duration {
        LIST_LEASE
    }

    async fn generations(&self) -> Result<GenerationList, StoreError> {
        let read = async {
            self.0.read(1, 2);
            self.0.views.generations().await
        };
        self.0.request(read).await
    }

    async fn replace(
        &self,
        seen: &GenerationList,
        list: &GenerationList,
    ) -> Result<bool, StoreError> {
        self.0.request(self.0.views.replace(seen, list)).await
    }

    async fn progress(&self) -> Result<Option<ReplayProgress>, StoreError> {
        self.0.request(self.0.views.progress()).await
    }

    async fn save(
        &self,
        seen: Option<&ReplayProgress>,
        to: &ReplayProgress,
    ) -> Result<bool, StoreError> {
        self.0.request(self.0.views.save(seen, to)).await
    }

    fn rows(&self, of: Generation) -> Arc<dyn Rows> {
        Arc::new(RowConnection { cloud: self.0.clone(), of, rows: self.0.views.rows(of) })
    }

    fn lanes(&self) -> Option<Arc<dyn Lanes>> {
        Some(Arc::new(self.clone()))
    }

    async fn remove(&self, generation: Generation) -> Result<u64, StoreError> {
        self.0.request(self.0.views.remove(generation)).await
    }
}

/// A connection to the rows of a generation.
struct RowConnection {
    cloud: Arc<Cloud>,
    of: Generation,
    rows: Arc<dyn Rows>,
}

impl RowConnection {
    fn written(&self, asset: &Asset, put: PutOutcome) -> PutOutcome {
        // A row of the simulation is smaller than a unit.
        self.cloud.wrote(1);
        if put == PutOutcome::Written {
            let mut rows = self.cloud.rows.lock().unwrap();
            let of = rows.entry((self.of, asset.key.clone())).or_default();
            of.push((Instant::now(), asset.clone()));
        }
        put
    }
}

#[async_trait]
impl Views for RowConnection {
    async fn get(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        self.cloud.read(1, 2);
        self.cloud.request(self.rows.get(key)).await
    }

    async fn get_eventually(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        let read = async {
            self.cloud.read(1, 1);
            let (seen, rows) = (self.cloud.seen(), self.cloud.rows.lock().unwrap());
            let rows = rows.get(&(self.of, key.clone())).map(Vec::as_slice).unwrap_or_default();
            Ok(rows.iter().rev().find(|(at, _)| *at <= seen).map(|(_, row)| row.clone()))
        };
        self.cloud.request(read).await
    }

    async fn put(&self, asset: &Asset) -> Result<PutOutcome, StoreError> {
        let put = async { Ok(self.written(asset, self.rows.put(asset).await?)) };
        self.cloud.request(put).await
    }

    async fn put_checked(&self, history: &History) -> Result<PutOutcome, StoreError> {
        let put = async {
            let put = self.rows.put_checked(history).await?;
            Ok(self.written(history.asset(), put))
        };
        self.cloud.request(put).await
    }

    async fn list(&self, query: &ListQuery) -> Result<AssetPage, StoreError> {
        self.cloud.request(self.rows.list(query)).await
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        self.cloud.request(self.rows.park(parked)).await
    }

    async fn parked(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        self.cloud.request(self.rows.parked(tenant, limit)).await
    }

    async fn let_go(&self, parked: &Parked) -> Result<(), StoreError> {
        self.cloud.request(self.rows.let_go(parked)).await
    }
}

#[async_trait]
impl Rows for RowConnection {
    fn parts(&self) -> u8 {
        self.rows.parts()
    }

    async fn tenants(&self) -> Result<BTreeSet<Tenant>, StoreError> {
        self.cloud.request(self.rows.tenants()).await
    }

    async fn page(
        &self,
        tenant: &Tenant,
        part: u8,
        after: Option<&str>,
    ) -> Result<RowPage, StoreError> {
        self.cloud.request(self.rows.page(tenant, part, after)).await
    }

    fn part_of(&self, key: &Key) -> u8 {
        self.rows.part_of(key)
    }

    async fn erase(&self, tenant: &Tenant, part: u8, id: &str) -> Result<(), StoreError> {
        self.cloud.request(self.rows.erase(tenant, part, id)).await
    }

    async fn totals(&self, tenant: Option<&Tenant>) -> Result<StoredTotals, StoreError> {
        self.cloud.request(self.rows.totals(tenant)).await
    }

    async fn put_totals(&self, tenant: &Tenant, row: &Totals) -> Result<PutOutcome, StoreError> {
        self.cloud.request(self.rows.put_totals(tenant, row)).await
    }
}
