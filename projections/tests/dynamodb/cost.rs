//! What each command costs on DynamoDB, with its projection: in requests, by table and kind, and
//! in units, as the answers tell them.
//!
//! The budget stands here, and as a table in docs/COST.md; both are checked. Whoever adds a
//! request or an index changes this file, and says so.

use std::fmt::Write as _;

use engine::{Tally, Used};
use ledger::Effects;
use ledger::id::{AssetId, Tenant};
use projections::Views;
use projections::testing::Story;
use projections::views::Query;

use crate::world::{World, typical, world};

/// Dollars for a million units: on demand, table class Standard, us-east-1, since 2024-11-01.
const WRITES: f64 = 0.625;
const READS: f64 = 0.125;

/// What something may cost, and does.
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

/// A batch of the stream asks which generations of rows there are.
const LISTED: (&str, &str, u64) = ("views", "GetItem", 1);
/// One event on a history that was loaded, and its row.
const UPDATE: &[(&str, &str, u64)] =
    &[("journal", "PutItem", 1), ("journal", "Query", 2), LISTED, ("views", "PutItem", 1)];
/// Two events on a history that was loaded once, and their row.
const TWO_EVENTS: &[(&str, &str, u64)] =
    &[("journal", "PutItem", 2), ("journal", "Query", 2), LISTED, ("views", "PutItem", 1)];

const BUDGET: [Budget; 11] = [
    budget("create", &[("journal", "PutItem", 1), LISTED, ("views", "PutItem", 1)], 2.0, 1.0),
    budget("notification of an upload", UPDATE, 2.0, 3.0),
    budget("confirm, bytes noticed before", UPDATE, 2.0, 3.0),
    budget("confirm, bytes not noticed yet", TWO_EVENTS, 3.0, 3.0),
    budget("confirm again", &[("journal", "Query", 1)], 0.0, 1.0),
    budget("delete", UPDATE, 2.0, 3.0),
    budget("restore", UPDATE, 2.0, 3.0),
    budget(
        "purge",
        &[("journal", "PutItem", 2), ("journal", "Query", 3), LISTED, ("views", "PutItem", 1)],
        3.0,
        4.0,
    ),
    budget("get", &[("journal", "Query", 1), ("views", "GetItem", 1)], 0.0, 1.5),
    budget("history", &[("journal", "Query", 1)], 0.0, 1.0),
    budget("list, a page of 100 in 8 shards", &[("views", "Query", 8)], 0.0, 12.0),
];

impl World {
    /// An asset in the state that `what` is usually done in.
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
        if what.starts_with("list") {
            self.fill().await;
        }
        self.project(asset, 0).await;
        // A reader asks which generation is read once in some seconds.
        drop(self.reader.current(&self.service.key(asset)).await.unwrap());
        asset
    }

    /// Enough assets that a page is a small part of them.
    async fn fill(&self) {
        for nth in 0..400 {
            let mut row = Story::declared("main", nth, typical()).received().uploaded().asset();
            row.key.asset = AssetId::new(row.created_at, self.effects.random());
            self.views.put(&row).await.unwrap();
        }
    }

    async fn run(&self, what: &str, asset: AssetId) {
        let caller = self.caller();
        match what {
            "notification of an upload" => self.look(asset).await,
            "delete" => self.delete(asset).await,
            "restore" => drop(self.service.restore(&caller, asset, None).await.unwrap()),
            "purge" => drop(self.service.purge(&caller, asset, None).await.unwrap()),
            "get" => drop(self.reader.current(&self.service.key(asset)).await.unwrap()),
            "history" => drop(self.service.history(asset).await.unwrap()),
            "list, a page of 100 in 8 shards" => self.list().await,
            _ => self.confirm(asset).await,
        }
    }

    async fn list(&self) {
        let query = Query { tenant: Tenant::default(), state: None, after: None, limit: 100 };
        let page = self.reader.list(&query).await.unwrap();
        assert_eq!((page.assets.len(), page.next.is_some()), (100, true));
    }

    async fn version(&self, asset: AssetId) -> usize {
        self.service.history(asset).await.unwrap().unwrap().entries().len()
    }

    /// What one `what` costs, with its projection.
    async fn cost(&self, what: &str) -> Tally {
        let (asset, before, mut cost);
        if what == "create" {
            drop(self.engine.take_tally());
            (asset, before) = (self.create().await, 0);
            cost = self.engine.take_tally();
            assert_eq!(cost.total(), Used { requests: 1, write: 1.0, read: 0.0 }, "the command");
        } else {
            asset = self.prepared(what).await;
            before = self.version(asset).await;
            drop(self.engine.take_tally());
            self.run(what, asset).await;
            cost = self.engine.take_tally();
        }
        self.project(asset, before).await;
        cost.add(&self.engine.take_tally());
        cost
    }

    fn requests(&self, tally: &Tally) -> Vec<(&'static str, String, u64)> {
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

/// Each would cost every write once more.
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
