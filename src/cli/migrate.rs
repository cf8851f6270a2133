//! `asset-ledger migrate`: creates or checks the two tables.

use std::io::{self, Write};

use clap::Args;
use ledger::Effects;

use crate::aws::migrate::Migration;
use crate::aws::{API_OPERATION, Clients, JOURNAL_TABLE, VIEWS_TABLE, sdk_config};
use crate::system::SystemEffects;

/// Create the two DynamoDB tables, or check the existing ones.
///
/// Creates missing tables and waits until they are active: the journal with its stream (new and
/// old images), deletion protection and point-in-time recovery; the rows with their TTL. A later
/// run switches these features on again if they were switched off, and changes nothing else. A
/// feature that the endpoint lacks, such as backups on an emulator, is reported.
///
/// The command changes nothing and reports the differences if an existing table differs in its
/// key, stream or indexes, if the journal has a TTL, or if the TTL attribute of the rows is not
/// `expires_at`. Applied migrations are recorded in the rows' table under the key `#migrations`.
#[derive(Debug, Args)]
#[command(after_help = "Region, credentials and endpoints come from the usual AWS settings:
AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID …, AWS_ENDPOINT_URL_DYNAMODB.

Examples:
  asset-ledger migrate --journal-table journal --views-table views --dry-run
  asset-ledger migrate --journal-table journal --views-table views
  AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 asset-ledger migrate …   # an emulator

Needs the permissions dynamodb:CreateTable, DescribeTable, UpdateTable, DescribeTimeToLive,
UpdateTimeToLive, DescribeContinuousBackups, UpdateContinuousBackups, and PutItem on the rows.
A stack created from deploy/template.yaml already has its tables.")]
pub(super) struct Migrate {
    /// The DynamoDB table of events.
    #[arg(long, env = JOURNAL_TABLE, value_name = "TABLE")]
    journal_table: String,
    /// The DynamoDB table of rows.
    #[arg(long, env = VIEWS_TABLE, value_name = "TABLE")]
    views_table: String,
    /// Print the planned changes, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Migrate {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let client = Clients::new(&sdk_config().await, API_OPERATION).dynamodb;
        let (journal, views) = (self.journal_table, self.views_table);
        let migration = Migration { client, journal, views, now: SystemEffects.now() };
        let mut broken = None;
        let mut say = |line: &str| {
            broken = writeln!(io::stdout(), "{line}").err();
        };
        migration.run(self.dry_run, &mut say).await?;
        broken.map_or(Ok(()), |error| Err(error.into()))
    }
}
