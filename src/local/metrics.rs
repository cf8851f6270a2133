//! The `/metrics` of one machine: counters and backlogs.

use std::sync::Arc;

use async_trait::async_trait;
use ledger::error::chain;
use metrics::gauge;
use projections::follower::FollowerProgress;

use crate::http::MetricsSource;
use crate::prometheus::Prometheus;
use crate::s3::Outbox;
use crate::scheduled::ScheduleStatus;

/// The source of counters and backlogs.
pub(super) struct LocalMetrics {
    pub(super) counted: Prometheus,
    pub(super) rows: FollowerProgress,
    pub(super) outbox: Outbox,
    pub(super) scheduled: Arc<ScheduleStatus>,
}

#[async_trait]
#[allow(clippy::cast_precision_loss, reason = "nothing of which there are 2^52")]
impl MetricsSource for LocalMetrics {
    async fn text(&self) -> String {
        gauge!("asset_ledger_arrivals_behind").set(self.rows.lag() as f64);
        match self.outbox.backlog().await {
            Ok(backlog) => {
                gauge!("asset_ledger_outbox_waiting").set(backlog.waiting as f64);
                gauge!("asset_ledger_outbox_dead").set(backlog.dead as f64);
            }
            Err(error) => tracing::warn!(cause = chain(&error), "cannot count the outbox"),
        }
        self.scheduled.measure();
        self.counted.text().await
    }
}
