//! Migrates the tables of a deployment to the form of this program; it can be repeated.
//!
//! First all tables are checked; if one differs, nothing is changed. Then missing tables are
//! created, and the migrations are recorded.

mod extras;

use std::time::Duration;

use anyhow::{Context, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, TableDescription, TableStatus};
use chrono::{DateTime, Utc};
use ledger::error::chain;
use ledger::time;
use tokio::time::{Instant, sleep};

pub(super) use self::extras::EXPIRES;
use self::extras::Extras;
use super::tables::{Definition, JOURNAL, VIEWS};

/// The polling interval for a table that is being created.
const LOOK: Duration = Duration::from_secs(1);
/// How long the creation of a table may take: usually seconds.
const PATIENCE: Duration = Duration::from_mins(5);
/// The partition of the migration records in the rows' table: no tenant's name starts like this.
const RECORDS: &str = "#migrations";

/// The tables to migrate, and the time.
#[derive(Debug, Clone)]
pub struct Migration {
    /// The client for the tables.
    pub client: Client,
    /// The journal's table.
    pub journal: String,
    /// The rows' table.
    pub views: String,
    /// The time to record.
    pub now: DateTime<Utc>,
}

/// Hears what is done, line by line.
type Say<'a> = &'a mut dyn FnMut(&str);

/// The migration of one table.
struct TableMigration {
    /// The migration's name.
    name: &'static str,
    definition: Definition,
    there: Option<TableDescription>,
    /// The TTL attribute of its items, if there is one.
    expiry: Option<String>,
}

impl Migration {
    /// Migrates the tables and reports each step; with `dry_run`, only reports.
    pub async fn run(&self, dry_run: bool, say: Say<'_>) -> anyhow::Result<()> {
        let wanted = self.look().await?;
        refuse(&wanted)?;
        if dry_run {
            for wanted in &wanted {
                say(&wanted.plan());
            }
            say("nothing was changed: this was a dry run");
            return Ok(());
        }
        for wanted in &wanted {
            self.make(wanted, say).await?;
        }
        for wanted in &wanted {
            self.record(wanted, say).await?;
        }
        Ok(())
    }

    async fn look(&self) -> anyhow::Result<Vec<TableMigration>> {
        let mut all = Vec::new();
        for (name, text, table) in
            [("journal.1", JOURNAL, &self.journal), ("views.1", VIEWS, &self.views)]
        {
            let definition = Definition::read(text, table).context("a migration is unreadable")?;
            let there = self.describe(table).await?;
            let extras = Extras { client: &self.client, table };
            let expiry = if there.is_some() { extras.expiry().await? } else { None };
            all.push(TableMigration { name, definition, there, expiry });
        }
        if self.journal == self.views {
            bail!("the journal and the rows cannot share table {}: name two", self.views);
        }
        Ok(all)
    }

    async fn describe(&self, table: &str) -> anyhow::Result<Option<TableDescription>> {
        match self.client.describe_table().table_name(table).send().await {
            Ok(answer) => Ok(answer.table),
            Err(error) if code(&error) == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(told("DescribeTable", table, &error)),
        }
    }

    /// Creates a table if it is missing, waits for it, and sets what `CreateTable` cannot set.
    async fn make(&self, wanted: &TableMigration, say: Say<'_>) -> anyhow::Result<()> {
        let table = &wanted.definition.table_name;
        if wanted.there.is_none() {
            self.create(&wanted.definition, say).await?;
        } else {
            say(&format!("{table}: is there and as it should be"));
        }
        let there = self.wait(&wanted.definition, say).await?;
        let extras = Extras { client: &self.client, table };
        extras.protect(&there, say).await?;
        extras.point_in_time(say).await?;
        if wanted.is_journal() {
            return Ok(()); // events never expire
        }
        extras.time_to_live(say).await
    }

    async fn create(&self, definition: &Definition, say: Say<'_>) -> anyhow::Result<()> {
        let table = &definition.table_name;
        let request = definition.create(&self.client).context("a migration is incomplete")?;
        match request.send().await {
            Ok(_) => say(&format!("{table}: creating")),
            // Another process created it at the same time. Its form is checked once it exists.
            Err(error) if code(&error) == Some("ResourceInUseException") => {
                say(&format!("{table}: somebody else is creating it"));
            }
            Err(error) => return Err(told("CreateTable", table, &error)),
        }
        Ok(())
    }

    /// The table after it became active.
    async fn wait(
        &self,
        definition: &Definition,
        say: Say<'_>,
    ) -> anyhow::Result<TableDescription> {
        let (table, began, mut waited) = (&definition.table_name, Instant::now(), false);
        loop {
            let there = self.describe(table).await?;
            let active = |it: &TableDescription| it.table_status() == Some(&TableStatus::Active);
            if let Some(there) = there.filter(active) {
                if waited {
                    say(&format!("{table}: active after {} s", began.elapsed().as_secs()));
                }
                refuse_one(definition, &there)?;
                return Ok(there);
            }
            if began.elapsed() > PATIENCE {
                bail!("{table}: not active after {} s; run this again later", PATIENCE.as_secs());
            }
            if !waited {
                say(&format!("{table}: waiting until it is active"));
            }
            waited = true;
            sleep(LOOK).await;
        }
    }

    /// Records the migration; the first time is kept.
    async fn record(&self, wanted: &TableMigration, say: Say<'_>) -> anyhow::Result<()> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let definition = serde_json::to_string(&wanted.definition)?;
        let put = self.client.put_item().table_name(&self.views);
        let put = put
            .item("pk", text(RECORDS))
            .item("sk", text(wanted.name))
            .item("applied_at", text(&time::format(self.now)))
            .item("program", text(env!("CARGO_PKG_VERSION")))
            .item("definition", text(&definition))
            .condition_expression("attribute_not_exists(pk)");
        match put.send().await {
            Ok(_) => say(&format!("{}: applied and recorded", wanted.name)),
            Err(error) if code(&error) == Some("ConditionalCheckFailedException") => {
                say(&format!("{}: was applied before", wanted.name));
            }
            Err(error) => return Err(told("PutItem", &self.views, &error)),
        }
        Ok(())
    }
}

impl TableMigration {
    fn is_journal(&self) -> bool {
        self.name.starts_with("journal")
    }

    /// Events never expire, and rows expire only by their TTL attribute.
    fn wrong_expiry(&self) -> Option<String> {
        let (table, attribute) = (&self.definition.table_name, self.expiry.as_deref()?);
        if self.is_journal() {
            return Some(format!(
                "table {table} has a time to live, by {attribute}: events must never expire"
            ));
        }
        let told = || format!("table {table}: rows expire by {attribute}, not by {EXPIRES}");
        (attribute != EXPIRES).then(told)
    }

    fn plan(&self) -> String {
        let table = &self.definition.table_name;
        match self.there {
            Some(_) => format!("{table}: is there and as it should be"),
            None => format!("{table}: would be created"),
        }
    }
}

/// Reports all differences of all tables, before any change.
fn refuse(wanted: &[TableMigration]) -> anyhow::Result<()> {
    let there = wanted.iter().filter_map(|it| Some((&it.definition, it.there.as_ref()?)));
    let told: Vec<String> = there.filter_map(|(wanted, there)| complaint(wanted, there)).collect();
    if !told.is_empty() {
        bail!("{}. Nothing was changed: give another name, or move the data", told.join("; "))
    }
    let expiring: Vec<String> = wanted.iter().filter_map(TableMigration::wrong_expiry).collect();
    if expiring.is_empty() {
        return Ok(());
    }
    bail!("{}. Nothing was changed: switch it off and run this again", expiring.join("; "))
}

fn refuse_one(definition: &Definition, there: &TableDescription) -> anyhow::Result<()> {
    complaint(definition, there).map_or(Ok(()), |complaint| bail!(complaint))
}

fn complaint(definition: &Definition, there: &TableDescription) -> Option<String> {
    let differences = definition.differences(there);
    let table = &definition.table_name;
    let told = || format!("table {table} is not as it should be ({})", differences.join("; "));
    (!differences.is_empty()).then(told)
}

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// A failed call, with the endpoint's message.
fn told<E, R>(call: &str, table: &str, error: &SdkError<E, R>) -> anyhow::Error
where
    SdkError<E, R>: std::error::Error + 'static,
    E: ProvideErrorMetadata,
{
    let answer = error.as_service_error().map(ProvideErrorMetadata::meta);
    let words = answer.and_then(|meta| Some(format!("{}: {}", meta.code()?, meta.message()?)));
    anyhow::anyhow!("{table}: {call} failed: {}", words.unwrap_or_else(|| chain(error)))
}

#[cfg(test)]
mod tests;
