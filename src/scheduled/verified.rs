//! A background verification of a whole ledger: each finding is logged, and the counts are metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::StoreError;
use ledger::audit::{Finding, FindingKind};
use metrics::counter;
use projections::audit::{AuditProgress, Findings};
use tokio::sync::mpsc;

/// The capacity of the channel of findings.
const QUEUE: usize = 256;
/// Findings that are logged; the rest is counted.
const TOLD: u64 = 100;

/// The result of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifiedSummary {
    /// The numbers of histories, of their events, and of rows.
    pub looked: (u64, u64, u64),
    /// Findings by kind.
    pub findings: BTreeMap<FindingKind, u64>,
}

impl VerifiedSummary {
    /// The number of findings.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.findings.values().sum()
    }

    /// The number of findings of altered, removed or lost data, without mere delays.
    #[must_use]
    pub fn tampered(&self) -> u64 {
        let evidence = self.findings.iter().filter(|(kind, _)| is_evidence(**kind));
        evidence.map(|(_, count)| count).sum()
    }
}

/// Whether a finding has another cause than a late projection or notification.
fn is_evidence(kind: FindingKind) -> bool {
    use FindingKind as K;
    !matches!(
        kind,
        K::RowMissing
            | K::RowStale
            | K::TotalsDrifted
            | K::Parked
            | K::ObjectUnrecorded
            | K::ObjectPresent
            | K::UnknownType
    )
}

/// Runs the verification, and logs each finding at once.
///
/// # Errors
/// If a store failed: then missing findings prove nothing.
pub async fn verified<L>(
    look: impl FnOnce(Findings, Arc<AuditProgress>) -> L,
) -> Result<VerifiedSummary, StoreError>
where
    L: Future<Output = Result<(), StoreError>>,
{
    let (findings, heard) = mpsc::channel(QUEUE);
    let progress = Arc::<AuditProgress>::default();
    let (looked, found) = tokio::join!(look(findings, progress.clone()), hear(heard));
    looked?;
    let verified = VerifiedSummary { looked: progress.figures(), findings: found };
    let ((assets, events, rows), findings) = (verified.looked, verified.count());
    counter!("asset_ledger_verify_completed").increment(1);
    counter!("asset_ledger_verify_findings").increment(findings);
    counter!("asset_ledger_tamper").increment(verified.tampered());
    if findings == 0 {
        tracing::info!(assets, events, rows, "verified the ledger: no findings");
    } else {
        let kinds = format!("{:?}", verified.findings);
        tracing::error!(
            assets,
            events,
            rows,
            findings,
            kinds,
            "verified the ledger: there are findings; run `asset-ledger verify`"
        );
    }
    Ok(verified)
}

async fn hear(mut heard: mpsc::Receiver<Finding>) -> BTreeMap<FindingKind, u64> {
    let (mut found, mut told) = (BTreeMap::new(), 0);
    while let Some(Finding { kind, asset, version, says, .. }) = heard.recv().await {
        *found.entry(kind).or_default() += 1;
        told += 1;
        if told <= TOLD {
            tracing::error!(%kind, asset, version, says, "a finding of verify");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_late_is_a_finding_and_no_tampering() {
        let verified = verified(|findings, _| async move {
            for kind in [
                FindingKind::Edited,
                FindingKind::RowStale,
                FindingKind::Edited,
                FindingKind::ObjectMissing,
            ] {
                findings.send(Finding::new(kind, "main#a", "says")).await.unwrap();
            }
            Ok(())
        });
        let verified = verified.await.unwrap();
        assert_eq!((verified.count(), verified.tampered()), (4, 3));
        assert_eq!(verified.findings[&FindingKind::Edited], 2);
    }

    #[tokio::test]
    async fn a_look_that_broke_off_shows_nothing() {
        let gone = || StoreError::new(ledger::error::StoreErrorKind::Unavailable, "away");
        assert!(verified(|_, _| async { Err(gone()) }).await.is_err());
    }
}
