//! The cost of each command on DynamoDB, with its projection: in requests, by table and kind, and
//! in units, from the replies.
//!
//! The budget is here, and as a table in docs/COST.md; both are checked. A change that adds a
//! request or an index must change this file.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use engine::{UnitTally, Used};
use ledger::Effects;
use ledger::access::{AccessCommand, AccessService, KeyId, KeyName, KeyRequest, Scopes};
use ledger::id::{AssetId, Tenant};
use ledger::idempotency::IdempotencyKey;
use ledger::service::AssetChange;
use ledger::url_log::{UrlGranted, UrlLogQuery, UrlMethod};
use projections::Views;
use projections::feed::{self, Feed as _, FeedCursor};
use projections::generations::LIST_LEASE;
use projections::runner::ProjectionHint;
use projections::testing::{Story, walk};
use projections::totals::Usage;
use projections::views::ListQuery;
use stores::DynamoJournal;

use crate::world::{DynamoFixture, typical, world};

/// Dollars per million units: on demand, table class Standard, us-east-1, since 2024-11-01.
const WRITES: f64 = 0.625;
const READS: f64 = 0.125;

/// Longer than a remembered end of a lane is used.
const LONG_AGO: Duration = Duration::from_millis(50);
/// Assets: some for each lane.
const WARM: usize = 24;

/// The exact cost of an operation.
struct Budget {
    what: &'static str,
    /// Table, operation, times.
    requests: &'static [(&'static str, &'static str, u64)],
    write: f64,
    read: f64,
}

const fn budget(
    what: &'static str,
    requests: &'static [(&'static str, &'static str, u64)],
    write: f64,
    read: f64,
) -> Budget {
    Budget { what, requests, write, read }
}

/// A batch of the stream reads the row of each asset: the events that it lacks are announced.
const LOOKED: (&str, &str, u64) = ("views", "GetItem", 1);
/// The end of a lane is looked up if the last write is some time ago.
const END: (&str, &str, u64) = ("views", "Query", 1);
/// A batch of the stream announces each asset's events in the feed, and writes its row.
const PUT: (&str, &str, u64) = ("views", "PutItem", 2);
/// One event on a loaded history, and its row.
const UPDATE: &[(&str, &str, u64)] =
    &[("journal", "PutItem", 1), ("journal", "Query", 2), LOOKED, END, PUT];
/// Two events on a history loaded once, and their row.
const TWO_EVENTS: &[(&str, &str, u64)] =
    &[("journal", "PutItem", 2), ("journal", "Query", 2), LOOKED, END, PUT];
/// Two appends, each on a loaded history, and their row.
const PURGE: &[(&str, &str, u64)] =
    &[("journal", "PutItem", 2), ("journal", "Query", 3), LOOKED, END, PUT];
const CREATE: &[(&str, &str, u64)] = &[("journal", "PutItem", 1), LOOKED, END, PUT];
const CREATE_ONCE: &[(&str, &str, u64)] =
    &[("journal", "PutItem", 1), LOOKED, END, ("views", "PutItem", 3)];

const FEED: &str = "feed, a page of 100 events of as many assets";
const FEED_AT_ITS_END: &str = "feed, nothing new";

const USAGE: &str = "usage, counted before";
const USAGE_ANEW: &str = "usage of 400 assets, counted anew";

const WITH_KEY: &str = "create with an `Idempotency-Key`";
const DELETE_AGAIN: &str = "delete again with the same key";

const URL: &str = "a URL, if they are recorded";
const URLS: &str = "the recorded URLs of an asset, a day with few";
const FIRST_USE: &str = "first use of an API key in a process and day";
const KEYS: &str = "keys of a tenant";
const ACCEPTED: &str = "an API key, its tenant read in the last ten seconds";
const LOOKED_UP: &str = "the same, once in ten seconds";
const LEARNED: &str = "the same, the first in a process";

const BUDGET: [Budget; 24] = [
    budget("create", CREATE, 3.0, 1.5),
    budget(WITH_KEY, CREATE_ONCE, 4.0, 1.5),
    budget("notification of an upload", UPDATE, 3.0, 3.0),
    budget("confirm, bytes noticed before", UPDATE, 3.0, 3.0),
    budget("confirm, bytes not noticed yet", TWO_EVENTS, 4.0, 3.0),
    budget("confirm again", &[("journal", "Query", 1)], 0.0, 1.0),
    budget("delete", UPDATE, 3.0, 3.0),
    budget(DELETE_AGAIN, &[("journal", "Query", 1)], 0.0, 1.0),
    budget("restore", UPDATE, 3.0, 3.0),
    budget("purge", PURGE, 4.0, 4.0),
    budget("get", &[("journal", "Query", 1), ("views", "GetItem", 1)], 0.0, 1.5),
    budget("history", &[("journal", "Query", 1)], 0.0, 1.0),
    budget("list, a page of 100 in 8 shards", &[("views", "Query", 8)], 0.0, 12.0),
    budget(FEED, &[("journal", "BatchGetItem", 1), ("views", "Query", 4)], 0.0, 54.0),
    budget(FEED_AT_ITS_END, &[("views", "Query", 4)], 0.0, 4.0),
    budget(USAGE, &[("views", "Query", 1)], 0.0, 1.0),
    budget(
        USAGE_ANEW,
        &[("views", "Query", 10), ("views", "GetItem", 1), ("views", "PutItem", 1)],
        1.0,
        55.0,
    ),
    budget(URL, &[("journal", "PutItem", 1)], 1.0, 0.0),
    budget(URLS, &[("journal", "Query", 4)], 0.0, 4.0),
    budget(FIRST_USE, &[("views", "PutItem", 1)], 1.0, 0.0),
    budget(KEYS, &[("journal", "Query", 1), ("views", "Query", 1)], 0.0, 2.0),
    budget(ACCEPTED, &[], 0.0, 0.0),
    budget(LOOKED_UP, &[("journal", "Query", 1)], 0.0, 1.0),
    budget(LEARNED, &[("journal", "Query", 2)], 0.0, 2.0),
];

fn page_of_the_feed(after: Option<FeedCursor>) -> feed::FeedQuery {
    feed::FeedQuery { tenant: Tenant::default(), after, limit: 100, kind: None, actor: None }
}

impl DynamoFixture {
    /// An asset in the usual state for `what`.
    async fn prepared(&self, what: &str) -> AssetId {
        let asset = self.create().await;
        self.upload(asset);
        if what.ends_with("noticed before") {
            self.look(asset).await;
        }
        if ["confirm again", "delete", "restore", "purge", "get", "history"].contains(&what) {
            self.confirm(asset).await;
        }
        if ["restore", "purge"].contains(&what) {
            self.delete(asset).await;
        }
        if what == DELETE_AGAIN {
            self.confirm(asset).await;
            self.delete_once(asset).await;
        }
        if what == KEYS {
            self.access.execute(&self.caller(), &AccessCommand::Create).await.unwrap();
            self.use_a_key().await;
        }
        if what.starts_with("list") || what == USAGE_ANEW {
            self.fill().await;
        }
        self.project(asset, 0).await;
        if what == FEED {
            self.announce_many().await;
        }
        if what == FEED_AT_ITS_END {
            self.end.set(walk(&self.feed, page_of_the_feed(None)).await.1).unwrap();
        }
        if what == USAGE {
            self.usage().await;
        }
        if [URL, URLS].contains(&what) {
            // In every lane: a process knows the ends of those that it has written.
            for _ in 0..12 {
                self.give_url(asset).await;
            }
        }
        if [ACCEPTED, LOOKED_UP, LEARNED].contains(&what) {
            self.open_a_tenant().await;
        }
        if what == LOOKED_UP {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(10)).await;
            tokio::time::resume();
        }
        // A reader reads the current generation every few seconds.
        drop(self.reader.current(&self.caller().key(asset)).await.unwrap());
        asset
    }

    /// A tenant with a key, which this process accepts.
    async fn open_a_tenant(&self) {
        let caller = self.caller();
        self.access.execute(&caller, &AccessCommand::Create).await.unwrap();
        let (name, scopes) = (KeyName::new("app".to_owned()).unwrap(), Scopes::all());
        let request = KeyRequest { name, scopes, own_only: false, expires_at: None };
        self.key.set(self.access.create_key(&caller, request, None).await.unwrap().0).unwrap();
        assert!(self.access.authenticate(self.key.get().unwrap()).await.unwrap().is_some());
    }

    async fn authenticate(&self, access: &AccessService) {
        let key = self.key.get().unwrap();
        assert!(access.authenticate(key).await.unwrap().is_some());
    }

    async fn create_once(&self) -> AssetId {
        let key = IdempotencyKey::new("anonymous", "key").unwrap();
        let created = self.service.create_once(&self.caller(), typical(), Some(&key)).await;
        created.unwrap().asset().key.asset
    }

    async fn delete_once(&self, asset: AssetId) {
        let key = IdempotencyKey::new("anonymous", "key").unwrap();
        let delete = AssetChange::Delete(None);
        self.service.change(&self.caller(), asset, None, delete, Some(&key)).await.unwrap();
    }

    /// So many assets that a page is a small part.
    async fn fill(&self) {
        for nth in 0..400 {
            let mut row = Story::declared("main", nth, typical()).received().uploaded().asset();
            row.key.asset = AssetId::new(row.created_at, self.effects.random());
            self.views.put(&row).await.unwrap();
        }
    }

    /// A process that was busy a moment ago: it has read the list of generations, and does not use
    /// the ends of lanes that it knows any more.
    async fn recently_busy(&self, asset: AssetId) {
        let newest = self.newest(asset).await;
        self.effects.advance(TimeDelta::from_std(LIST_LEASE).unwrap());
        self.runner.project(&[newest]).await;
        tokio::time::sleep(LONG_AGO).await;
        drop(self.engine.take_tally());
    }

    /// The record of an asset's last event.
    async fn newest(&self, asset: AssetId) -> ProjectionHint {
        let history = self.service.history(&self.caller().key(asset)).await.unwrap().unwrap();
        let last = history.entries().last().unwrap();
        let (key, version) = (history.asset().key.clone(), last.record.version);
        ProjectionHint { key, version, lines: vec![last.line.clone()] }
    }

    /// Lanes with entries.
    async fn warm(&self) {
        for _ in 0..WARM {
            let asset = self.create().await;
            self.project(asset, 0).await;
        }
    }

    /// More than a page, in every lane.
    async fn announce_many(&self) {
        for _ in 0..150 {
            let asset = self.create().await;
            self.project(asset, 0).await;
        }
    }

    async fn run(&self, what: &str, asset: AssetId) {
        let caller = self.caller();
        match what {
            "notification of an upload" => self.look(asset).await,
            "delete" => self.delete(asset).await,
            DELETE_AGAIN => self.delete_once(asset).await,
            "restore" => drop(self.service.restore(&caller, asset, None).await.unwrap()),
            "purge" => drop(self.service.purge(&caller, asset, None).await.unwrap()),
            "get" => drop(self.reader.current(&self.caller().key(asset)).await.unwrap()),
            "history" => drop(self.service.history(&self.caller().key(asset)).await.unwrap()),
            "list, a page of 100 in 8 shards" => self.list().await,
            USAGE | USAGE_ANEW => self.usage().await,
            URL => self.give_url(asset).await,
            URLS => assert_eq!(self.given_urls(asset).await, 12),
            FIRST_USE => self.use_a_key().await,
            KEYS => {
                assert!(self.access.history(&caller.tenant).await.unwrap().is_some());
                assert_eq!(self.access.last_uses(&caller.tenant).await.unwrap().len(), 1);
            }
            ACCEPTED => {
                for _ in 0..100 {
                    self.authenticate(&self.access).await;
                }
            }
            LOOKED_UP => {
                self.authenticate(&self.access).await;
                self.authenticate(&self.access).await;
            }
            LEARNED => {
                let client = self.tables.client.clone();
                let journal = Arc::new(DynamoJournal::new(client, &self.tables.journal));
                let process = AccessService::new(journal, self.effects.clone());
                self.authenticate(&process).await;
                self.authenticate(&process).await;
            }
            FEED => assert_eq!(self.hear(None).await, 100),
            FEED_AT_ITS_END => assert_eq!(self.hear(self.end.get().cloned()).await, 0),
            _ => self.confirm(asset).await,
        }
    }

    async fn hear(&self, after: Option<FeedCursor>) -> usize {
        self.feed.page(&page_of_the_feed(after)).await.unwrap().events.len()
    }

    async fn give_url(&self, asset: AssetId) {
        let expires_at = self.effects.now() + TimeDelta::minutes(1);
        let version_id = Some("3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY".to_owned());
        let method = UrlMethod::Get;
        let granted = UrlGranted { asset, version: 3, method, version_id, expires_at };
        self.urls.record(&self.caller(), &granted).await.unwrap();
    }

    async fn given_urls(&self, asset: AssetId) -> usize {
        let (since, until) = (self.effects.now() - TimeDelta::hours(1), DateTime::<Utc>::MAX_UTC);
        let (tenant, after, limit) = (Tenant::default(), None, 100);
        let query = UrlLogQuery { tenant, asset, since, until, after, limit };
        self.urls.page(&query).await.unwrap().entries.len()
    }

    /// Two requests with the same key.
    async fn use_a_key(&self) {
        let (tenant, key) = (Tenant::default(), KeyId::new(1));
        self.access.used(&tenant, key).unwrap().await;
        assert!(self.access.used(&tenant, key).is_none());
    }

    async fn usage(&self) {
        assert!(self.totals.read(&Usage, &Tenant::default()).await.unwrap().figures["assets"] > 0);
    }

    async fn list(&self) {
        let query = ListQuery::all(Tenant::default(), 100);
        let page = self.reader.list(&query).await.unwrap();
        assert_eq!((page.assets.len(), page.next.is_some()), (100, true));
    }

    async fn version(&self, asset: AssetId) -> usize {
        self.service.history(&self.caller().key(asset)).await.unwrap().unwrap().entries().len()
    }

    /// The cost of `what`, with its projection.
    async fn cost(&self, what: &str) -> UnitTally {
        self.warm().await;
        let (asset, before, mut cost);
        if ["create", WITH_KEY].contains(&what) {
            let other = self.create().await;
            self.recently_busy(other).await;
            let keyed = what == WITH_KEY;
            asset = if keyed { self.create_once().await } else { self.create().await };
            (before, cost) = (0, self.engine.take_tally());
            let (requests, write) = if keyed { (2, 2.0) } else { (1, 1.0) };
            assert_eq!(cost.total(), Used { requests, write, read: 0.0 }, "the command");
        } else {
            asset = self.prepared(what).await;
            before = self.version(asset).await;
            self.recently_busy(asset).await;
            self.run(what, asset).await;
            cost = self.engine.take_tally();
        }
        self.project(asset, before).await;
        cost.add(&self.engine.take_tally());
        cost
    }

    fn requests(&self, tally: &UnitTally) -> Vec<(&'static str, String, u64)> {
        let name = |table: &str| if table == self.tables.views { "views" } else { "journal" };
        let requests = tally.operations().into_iter();
        requests.map(|(table, operation, times)| (name(table), operation.into(), times)).collect()
    }
}

#[tokio::test]
async fn nothing_costs_more_than_its_budget_or_asks_for_anything_else() {
    let mut wrong = Vec::new();
    for budget in &BUDGET {
        let world = world().await;
        let cost = world.cost(budget.what).await;
        let requests = world.requests(&cost);
        let mut allowed: Vec<_> =
            budget.requests.iter().map(|(table, op, n)| (*table, (*op).to_owned(), *n)).collect();
        allowed.sort();
        let (used, write, read) = (cost.total(), budget.write, budget.read);
        #[expect(clippy::float_cmp, reason = "units are halves, which are exact")]
        if requests != allowed || used.write != write || used.read != read {
            wrong.push(format!("{}: {requests:?}, {used:?}", budget.what));
        }
    }
    assert!(wrong.is_empty(), "not as in the budget:\n{}", wrong.join("\n"));
}

/// Each event is of another asset, so that no row and no history is shared.
#[tokio::test]
async fn an_event_in_a_full_batch_costs_little_more_than_the_budget() {
    const BATCH: usize = 100;
    let world = world().await;
    world.warm().await;
    let (mut assets, mut costs) = (Vec::new(), Vec::new());
    for version in [1, 2] {
        let mut cost = UnitTally::default();
        for nth in 0..BATCH {
            if version == 1 {
                drop(world.engine.take_tally());
                assets.push(world.create().await);
            } else {
                world.upload(assets[nth]);
                drop(world.engine.take_tally());
                world.look(assets[nth]).await;
            }
            cost.add(&world.engine.take_tally());
        }
        let mut hints = Vec::new();
        for asset in &assets {
            hints.push(world.newest(*asset).await);
        }
        world.recently_busy(assets[0]).await;
        assert_eq!(world.runner.project(&hints).await.failed.len(), 0);
        cost.add(&world.engine.take_tally());
        let Used { write, read, .. } = cost.total();
        costs.push((write / 100.0, read / 100.0));
    }
    let [create, update] = costs[..] else { panic!("two kinds were measured") };
    assert!(create.0 <= 2.1 && create.1 <= 1.0, "a create: {create:?}");
    assert!(update.0 <= 2.1 && update.1 <= 2.05, "an update: {update:?}");
}

/// Both writes fail their condition. Such a response reports no units, so the table has no line.
#[tokio::test]
async fn a_repeated_creation_reads_nothing_and_is_refused_by_each_table_once() {
    let world = world().await;
    let asset = world.create_once().await;
    drop(world.engine.take_tally());
    assert_eq!(world.create_once().await, asset);
    let requests = world.requests(&world.engine.take_tally());
    assert_eq!(requests, ["journal", "views"].map(|table| (table, "PutItem".to_owned(), 1)));
}

/// Each would add one write per write.
#[test]
fn no_table_has_an_index() {
    for definition in [engine::JOURNAL, engine::VIEWS] {
        assert!(!definition.contains("Index"), "{definition}");
        assert!(definition.contains(r#""BillingMode": "PAY_PER_REQUEST""#), "{definition}");
    }
}

#[test]
fn the_budget_is_the_table_in_the_documentation() {
    let mut table = String::from("| | Requests | Write units | Read units | $ a million |\n");
    table += "|---|---|---:|---:|---:|\n";
    for Budget { what, requests, write, read } in &BUDGET {
        let requests: Vec<_> =
            requests.iter().map(|(table, op, times)| format!("{times} {op} {table}")).collect();
        let dollars = write * WRITES + read * READS;
        let requests = requests.join(", ");
        writeln!(table, "| {what} | {requests} | {write} | {read} | {dollars} |").unwrap();
    }
    let document = include_str!("../../../docs/COST.md");
    assert!(document.contains(&table), "docs/COST.md should have:\n\n{table}");
}
