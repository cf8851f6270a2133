//! `asset-ledger migrate`: the two tables, made or found as they should be.

use std::io::{self, Write};

use clap::Args;
use ledger::Effects;

use crate::aws::migrate::Migration;
use crate::aws::{API_OPERATION, Clients, JOURNAL_TABLE, VIEWS_TABLE, sdk_config};
use crate::system::SystemEffects;

/// Make the two DynamoDB tables, or check that they are as they should be.
///
/// Creates what is missing and waits until it is active: the journal with its stream (new and old
/// images), deletion protection and point-in-time recovery; the rows with their time to live. What
/// an endpoint does not have, such as backups on an emulator, is said aloud. Running it again
/// switches on what was switched off since, and changes nothing else. If a table is there when it
/// starts and differs in its key, stream or indexes, or if events, or rows by another attribute
/// than `expires_at`, have a time to live, nothing at all is touched, and the differences are told.
/// What was applied is recorded among the rows, under the key `#migrations`.
#[derive(Debug, Args)]
#[command(after_help = "Region, credentials and endpoints are those of every AWS tool: AWS_REGION,
AWS_PROFILE, AWS_ACCESS_KEY_ID …, AWS_ENDPOINT_URL_DYNAMODB.

Examples:
  asset-ledger migrate --journal-table journal --views-table views --dry-run
  asset-ledger migrate --journal-table journal --views-table views
  AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 asset-ledger migrate …   # an emulator

Needs the permissions dynamodb:CreateTable, DescribeTable, UpdateTable, DescribeTimeToLive,
UpdateTimeToLive, DescribeContinuousBackups, UpdateContinuousBackups, and PutItem on the rows.
A stack made from deploy/template.yaml has its tables already.")]
pub(super) struct Migrate {
    /// The DynamoDB table of events.
    #[arg(long, env = JOURNAL_TABLE, value_name = "TABLE")]
    journal_table: String,
    /// The DynamoDB table of rows.
    #[arg(long, env = VIEWS_TABLE, value_name = "TABLE")]
    views_table: String,
    /// Only tell what would be done.
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
