//! The tamper matrix: changes to a store by anyone with its credentials, and the names of their
//! findings in an audit.
#![allow(clippy::print_stdout, reason = "how much was detected, in figures")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic, its helpers too")]

mod clean;
mod matrix;
mod store;

use std::sync::Arc;
use std::time::Duration;

use ledger::audit::Finding;
use ledger::journal::Journal;
use projections::Generations;
use projections::audit::{AuditProgress, RowAudit};
use projections::testing::{Clock, Story};
use tokio::sync::mpsc;

use crate::store::TamperedStore;

/// A ledger with direct writes to its store.
pub(crate) struct TamperFixture {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) views: Arc<dyn Generations>,
    pub(crate) store: TamperedStore,
}

impl TamperFixture {
    /// An audit of it. No projector writes rows here, so the wait is short.
    pub(crate) fn audit(&self) -> RowAudit {
        RowAudit {
            journal: self.journal.clone(),
            views: self.views.clone(),
            tenant: None,
            effects: Arc::new(Clock::default()),
            repair: false,
            patience: Duration::from_millis(100),
            segments: 3,
        }
    }

    pub(crate) async fn findings(&self) -> Vec<Finding> {
        findings(&self.audit()).await.0
    }

    /// Appends and projects, like the ledger.
    pub(crate) async fn keep(&self, story: &Story) {
        story.append_to(self.journal.as_ref()).await;
        let current = self.views.generations().await.unwrap().current;
        self.views.rows(current).put(&story.asset()).await.unwrap();
    }
}

/// The findings of an audit, and its progress.
pub(crate) async fn findings(audit: &RowAudit) -> (Vec<Finding>, (u64, u64, u64)) {
    let (findings, mut heard) = mpsc::channel(16);
    let progress = Arc::<AuditProgress>::default();
    let listen = async {
        let mut all = Vec::new();
        while let Some(finding) = heard.recv().await {
            all.push(finding);
        }
        all
    };
    let look = async {
        audit.run(&findings, &progress).await.unwrap();
        drop(findings);
    };
    let ((), all) = tokio::join!(look, listen);
    (all, progress.figures())
}
