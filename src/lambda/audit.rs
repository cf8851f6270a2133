//! The audit of the stack: the whole journal and all rows, like `asset-ledger verify`.
//!
//! It only reads. Each finding is logged and counted. A completed run is counted too, so that an
//! alarm can detect a missing one.

use std::sync::Arc;
use std::time::Duration;

use ledger::StoreError;
use projections::audit::RowAudit;

use crate::aws::Deployment;
use crate::scheduled::{VerifiedSummary, verified};
use crate::system::SystemEffects;

/// Segments of the journal that are read concurrently: the function mostly waits for DynamoDB, and
/// has fifteen minutes.
const SEGMENTS: u32 = 8;
/// How long late rows may make no progress: a failed batch of the stream is delivered again within
/// this time.
const PATIENCE: Duration = Duration::from_mins(1);

/// The handler of the schedule.
pub struct Auditor {
    audit: RowAudit,
}

impl Auditor {
    /// Audits a deployment.
    #[must_use]
    pub fn new(parts: Deployment) -> Self {
        let Deployment { journal, generations: views, .. } = parts;
        let (effects, tenant) = (Arc::new(SystemEffects), None);
        let (patience, segments) = (PATIENCE, SEGMENTS);
        let repair = false;
        Self { audit: RowAudit { journal, views, tenant, effects, patience, repair, segments } }
    }

    /// Audits everything, for any event.
    ///
    /// # Errors
    /// If a store failed: then missing findings prove nothing.
    pub async fn look(&self) -> Result<VerifiedSummary, StoreError> {
        verified(async |findings, progress| self.audit.run(&findings, &progress).await).await
    }
}

#[cfg(test)]
mod tests;
