//! Bringing the tables of a deployment to the form that this program knows, once and again.
//!
//! First everything is looked at; a table that differs stops the whole before anything was
//! changed. Then what is missing is made, and what was made is written down.

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

/// How often a table that is being made is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long making a table may take: seconds usually, and then something is wrong.
const PATIENCE: Duration = Duration::from_mins(5);
/// Where the records of migrations stand among the rows: no tenant's name begins so.
const RECORDS: &str = "#migrations";

/// What to migrate, and when it is.
#[derive(Debug, Clone)]
pub struct Migration {
    /// Where the tables are.
    pub client: Client,
    /// The journal's table.
    pub journal: String,
    /// The rows' table.
    pub views: String,
    /// The time to write down.
    pub now: DateTime<Utc>,
}

/// One table on its way.
struct TableMigration {
    /// The migration's name.
    name: &'static str,
    definition: Definition,
    there: Option<TableDescription>,
    /// By which attribute its items expire, if they do.
    expiry: Option<String>,
}

impl Migration {
    /// Brings the tables to their form, telling each step; with `dry_run`, only tells.
    pub async fn run(&self, dry_run: bool, say: &mut impl FnMut(&str)) -> anyhow::Result<()> {
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

    /// Makes a table if it is missing, waits for it, and sees to what `CreateTable` cannot say.
    async fn make(
        &self,
        wanted: &TableMigration,
        say: &mut impl FnMut(&str),
    ) -> anyhow::Result<()> {
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

    async fn create(
        &self,
        definition: &Definition,
        say: &mut impl FnMut(&str),
    ) -> anyhow::Result<()> {
        let table = &definition.table_name;
        let request = definition.create(&self.client).context("a migration is incomplete")?;
        match request.send().await {
            Ok(_) => say(&format!("{table}: creating")),
            // Somebody was faster. Whether theirs is ours is seen when it is there.
            Err(error) if code(&error) == Some("ResourceInUseException") => {
                say(&format!("{table}: somebody else is creating it"));
            }
            Err(error) => return Err(told("CreateTable", table, &error)),
        }
        Ok(())
    }

    /// The table once it is active.
    async fn wait(
        &self,
        definition: &Definition,
        say: &mut impl FnMut(&str),
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

    /// Writes down what was applied; the first time counts.
    async fn record(
        &self,
        wanted: &TableMigration,
        say: &mut impl FnMut(&str),
    ) -> anyhow::Result<()> {
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

    /// An event never goes, and a row by no other attribute than the one that says when it may.
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

/// Every difference of every table at once, before anything is touched.
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

/// A call that failed, in the words of whoever refused it.
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
