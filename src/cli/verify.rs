//! `asset-ledger verify`: is everything as it was left?

mod report;

use std::process::ExitCode;

use clap::Args;
use ledger::audit;
use ledger::journal::Scan;
use ledger::journal::scan::Chains;

use self::report::{Checked, Report};
use super::stores::Stores;

/// The exit code for findings.
const FINDINGS: u8 = 1;
/// The exit code for a ledger that could not be looked at: nothing was shown, good or bad.
pub(super) const COULD_NOT_LOOK: u8 = 2;

/// Check that nothing was tampered with.
///
/// Reads the whole journal, beside a running service or without one, and names everything that is
/// not as the ledger left it. Exits with 0 if there is nothing, with 1 if there is something, and
/// with 2 if it could not look.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger verify --data ./data
  asset-ledger verify --data ./data --json | jq -r 'select(.kind) | [.kind, .asset] | @tsv'
  asset-ledger verify --store dynamodb --journal-table journal --views-table views")]
pub(super) struct Verify {
    /// For machines: one JSON object a line, first each finding, at last what was checked.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: Stores,
}

impl Verify {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let opened = self.stores.journal().await?;
        let mut report = Report::new(self.json);
        let checked = journal(opened.scan.as_ref(), &mut report).await?;
        let found = report.end(&checked)?;
        Ok(if found == 0 { ExitCode::SUCCESS } else { FINDINGS.into() })
    }
}

/// Every history of the journal, by itself.
async fn journal(scan: &dyn Scan, report: &mut Report) -> anyhow::Result<Checked> {
    let mut checked = Checked::default();
    for segment in scan.segments(1).await? {
        let mut chains = Chains::new(scan, &segment, None);
        while let Some(chain) = chains.next().await? {
            checked.assets += 1;
            audit::examine(&chain).into_iter().try_for_each(|finding| report.tell(finding))?;
        }
        checked.events += chains.read();
    }
    Ok(checked)
}
