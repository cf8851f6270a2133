//! The stack looks at itself: the whole journal and all rows, as `asset-ledger verify` does it.
//!
//! It only reads. What is found is in the log, asset by asset, and counted; that it was done to the
//! end is counted too, so that an alarm can miss it.

use std::sync::Arc;
use std::time::Duration;

use ledger::StoreError;
use projections::audit::RowAudit;

use crate::aws::Deployment;
use crate::scheduled::{VerifiedSummary, verified};
use crate::system::SystemEffects;

/// Segments of the journal at once: the function waits for DynamoDB most of its time, and has
/// fifteen minutes.
const SEGMENTS: u32 = 8;
/// How long rows that are behind may stand still: a batch of the stream that failed is given again
/// within this.
const PATIENCE: Duration = Duration::from_mins(1);

/// The handler of the schedule.
pub struct Auditor {
    audit: RowAudit,
}

impl Auditor {
    /// Looks at a deployment.
    #[must_use]
    pub fn new(parts: Deployment) -> Self {
        let Deployment { journal, generations: views, .. } = parts;
        let (effects, tenant) = (Arc::new(SystemEffects), None);
        let (patience, segments) = (PATIENCE, SEGMENTS);
        let repair = false;
        Self { audit: RowAudit { journal, views, tenant, effects, patience, repair, segments } }
    }

    /// Looks at everything, whatever the event says.
    ///
    /// # Errors
    /// If a store did not answer: nothing is shown by what was not found.
    pub async fn look(&self) -> Result<VerifiedSummary, StoreError> {
        verified(async |findings, progress| self.audit.run(&findings, &progress).await).await
    }
}

#[cfg(test)]
mod tests;
