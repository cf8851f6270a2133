//! The checks of `/readyz` besides those of the ports: the tables' form, and the lag of the rows.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::TableStatus;
use ledger::error::chain;
use ledger::{Effects, StoreError};
use stores::dynamodb::failed;
use tokio::sync::watch;

use super::Config;
use super::stream::FollowerStatus;
use super::tables::{Definition, JOURNAL, VIEWS};
use crate::http::{Check, NotReady};

/// The lag of the rows above which `/readyz` fails. A list shows assets as of that time; a read of
/// a single asset is current in any case.
const LAG_MAX: Duration = Duration::from_mins(1);

/// One check for each table.
pub(super) fn tables(client: &Client, config: &Config) -> [Arc<dyn Check>; 2] {
    let of = |name, text, table: &String| {
        let (client, table) = (client.clone(), table.clone());
        Arc::new(TableCheck { name, text, client, table }) as Arc<dyn Check>
    };
    [of("journal_table", JOURNAL, &config.journal), of("views_table", VIEWS, &config.views)]
}

/// One check for the lag of the rows.
pub(super) fn lag(
    status: watch::Receiver<FollowerStatus>,
    effects: Arc<dyn Effects>,
) -> Arc<dyn Check> {
    Arc::new(LagCheck { status, effects })
}

/// Checks that a table is active and has the form of the migrations, including its stream.
struct TableCheck {
    name: &'static str,
    text: &'static str,
    client: Client,
    table: String,
}

impl TableCheck {
    async fn look(&self) -> Result<Vec<String>, StoreError> {
        let asked = self.client.describe_table().table_name(&self.table).send().await;
        let asked = asked.map_err(|error| failed(format!("describing {}", self.table), error))?;
        let Some(there) = asked.table else { return Ok(vec!["it is not there".to_owned()]) };
        let status = there.table_status().filter(|status| !works(status));
        let status = status.map(|status| format!("it is {}", status.as_str()));
        let form = Definition::read(self.text, &self.table).map(|it| it.differences(&there));
        Ok(status.into_iter().chain(form.unwrap_or_default()).collect())
    }
}

/// A table that is being changed still answers.
fn works(status: &TableStatus) -> bool {
    matches!(status, TableStatus::Active | TableStatus::Updating)
}

#[async_trait]
impl Check for TableCheck {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn check(&self) -> Result<(), NotReady> {
        let differences = self.look().await.map_err(|error| {
            tracing::warn!(cause = chain(&error), "cannot describe a table");
            NotReady(format!("{:?}: see the log", error.kind))
        })?;
        if differences.is_empty() {
            return Ok(());
        }
        Err(NotReady(format!("not as `asset-ledger migrate` makes it: {}", differences.join("; "))))
    }
}

struct LagCheck {
    status: watch::Receiver<FollowerStatus>,
    effects: Arc<dyn Effects>,
}

#[async_trait]
impl Check for LagCheck {
    fn name(&self) -> &'static str {
        "rows"
    }

    async fn check(&self) -> Result<(), NotReady> {
        let Some(as_of) = self.status.borrow().as_of else {
            return Err(NotReady("the journal's stream is not read up to now yet".to_owned()));
        };
        let behind = (self.effects.now() - as_of).to_std().unwrap_or_default();
        if behind <= LAG_MAX {
            return Ok(());
        }
        Err(NotReady(format!("{} s behind the journal", behind.as_secs())))
    }
}

#[cfg(test)]
mod tests {
    use engine::{Engine, Fault};
    use projections::testing::Clock;

    use super::*;

    async fn look(engine: &Engine, journal: &str, views: &str) -> Vec<String> {
        let config = Config {
            journal: journal.to_owned(),
            views: views.to_owned(),
            bucket: "b".to_owned(),
            tenant: "main".parse().unwrap(),
            shards: 8,
            feed_retention: None,
        };
        let mut told = Vec::new();
        for check in tables(&engine.client(), &config) {
            let looked = check.check().await.err().map(|e| format!("{}: {e}", check.name()));
            told.extend(looked);
        }
        told
    }

    #[tokio::test]
    async fn tables_as_they_should_be_are_ready() {
        let engine = Engine::new();
        let tables = engine.tables_with_streams().await;
        assert_eq!(look(&engine, &tables.journal, &tables.views).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_stream_that_is_off_and_a_table_of_another_shape_are_told() {
        let engine = Engine::new();
        let tables = engine.tables().await;
        let told = look(&engine, &tables.journal, &tables.journal).await;
        assert!(told[0].contains("journal_table") && told[0].contains("stream: off"), "{told:?}");
        assert!(told[1].contains("views_table: not as `asset-ledger migrate`"), "{told:?}");
        assert!(told[1].contains("sk N RANGE, not"), "{told:?}");
    }

    #[tokio::test]
    async fn a_missing_table_and_a_throttled_one_are_told_by_their_kind() {
        let engine = Engine::new();
        let missing = look(&engine, "journal", "views").await;
        assert_eq!(missing[0], "journal_table: Misconfigured: see the log");
        engine.fail(|_| Some(Fault::THROTTLED));
        let throttled = look(&engine, "journal", "views").await;
        assert_eq!(throttled[1], "views_table: Throttled: see the log");
    }

    #[tokio::test]
    async fn rows_are_ready_once_read_and_not_a_minute_behind() {
        let clock = Clock::default();
        let (told, status) = watch::channel(FollowerStatus::default());
        let check = lag(status, Arc::new(clock));
        let look = async || check.check().await.err().map(|error| error.to_string());
        assert!(look().await.is_some_and(|told| told.contains("not read up to now yet")));
        let behind = |seconds| FollowerStatus {
            as_of: Some(clock.0 - chrono::TimeDelta::seconds(seconds)),
            idle: false,
        };
        told.send_replace(behind(60));
        assert_eq!(look().await, None);
        told.send_replace(behind(61));
        assert_eq!(look().await.as_deref(), Some("61 s behind the journal"));
    }
}
