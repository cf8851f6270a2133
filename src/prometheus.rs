//! The metrics of this process, for Prometheus.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use crate::http::MetricsSource;

/// Buckets from an immediate row to a row that is a minute late, in milliseconds.
const LAGS: [f64; 12] =
    [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1_000.0, 5_000.0, 15_000.0, 60_000.0];
/// The interval of sorting samples into buckets; until then each value is kept.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of this process.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// The metrics of this process.
#[derive(Clone)]
pub(crate) struct Prometheus(PrometheusHandle);

impl Prometheus {
    /// Starts recording; a second call uses the first recorder.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let builder = PrometheusBuilder::new();
        let lag = Matcher::Full("asset_ledger_visible_lag_ms".to_owned());
        let recorder = builder.set_buckets_for_metric(lag, &LAGS)?.build_recorder();
        let handle = recorder.handle();
        if RECORDER.set(handle.clone()).is_ok() {
            metrics::set_global_recorder(recorder).context("something else counts already")?;
            describe();
        }
        Ok(Self(RECORDER.get().cloned().unwrap_or(handle)))
    }

    /// Bounds the memory of samples, also without scrapes.
    pub(crate) async fn upkeep(self, stop: CancellationToken) {
        let upkeep = async {
            loop {
                tokio::time::sleep(UPKEEP).await;
                self.0.run_upkeep();
            }
        };
        stop.run_until_cancelled(upkeep).await;
    }
}

#[async_trait]
impl MetricsSource for Prometheus {
    async fn text(&self) -> String {
        self.0.render()
    }
}

/// Describes each metric. Counters start at 0, because an alarm on an increase must see the 0.
fn describe() {
    for (name, what) in COUNTERS {
        describe_counter!(name, what);
        counter!(name).increment(0);
    }
    for (name, what) in GAUGES {
        describe_gauge!(name, what);
    }
    describe_counter!(
        "asset_ledger_consumed_units",
        "DynamoDB units, by command, operation and table"
    );
    describe_counter!("asset_ledger_scheduled_failures", "Failed runs of scheduled jobs, by job");
    describe_histogram!(
        "asset_ledger_visible_lag_ms",
        "Delay from an event to its row, in milliseconds"
    );
}

const COUNTERS: [(&str, &str); 17] = [
    ("asset_ledger_events_recorded", "Events appended to the journal"),
    ("asset_ledger_rows_stale", "Row writes skipped because the row was at least as new"),
    (
        "asset_ledger_rows_unreadable",
        "Unreadable rows in lists; their assets were folded from the journal",
    ),
    (
        "asset_ledger_list_left_out",
        "Assets left out of a list because neither row nor history is readable",
    ),
    ("asset_ledger_rows_repaired", "Rows written by a redrive because no hint led to them"),
    ("asset_ledger_assets_parked", "Assets parked until an operator repairs them"),
    (
        "asset_ledger_tamper",
        "Journal changes other than appends, and verify findings of tampering or loss",
    ),
    ("asset_ledger_verify_completed", "Complete verify runs of this process"),
    ("asset_ledger_verify_findings", "Findings of all complete verify runs of this process"),
    ("asset_ledger_stream_gaps", "Detected losses of stream records"),
    ("asset_ledger_overwrite_attempts", "Object versions put over a confirmed version"),
    (
        "asset_ledger_pins_missing",
        "Reconciliations that did not find the pinned version of an asset",
    ),
    ("asset_ledger_objects_altered", "Files whose bytes differ from the upload when read"),
    ("asset_ledger_objects_set_aside", "Files without a version that were moved to s3/lost"),
    (
        "asset_ledger_notifications_dropped",
        "Dropped notifications: tests, foreign, unreadable, or of an asset at its event limit",
    ),
    ("asset_ledger_notifications_later", "Notifications to be retried later"),
    ("asset_ledger_versions_swept", "Deleted object versions of purged assets"),
];

const GAUGES: [(&str, &str); 7] = [
    (
        "asset_ledger_stream_lag_ms",
        "Age of the oldest stream record that is not projected, in milliseconds",
    ),
    ("asset_ledger_arrivals_behind", "Events of the journal that are not projected yet"),
    ("asset_ledger_outbox_waiting", "S3 notifications waiting in the outbox"),
    ("asset_ledger_verify_age_seconds", "Seconds since the last complete verify run"),
    ("asset_ledger_verify_last_findings", "Findings of the last complete verify run"),
    ("asset_ledger_checkpoint_age_seconds", "Seconds since the last checkpoint was written"),
    ("asset_ledger_outbox_dead", "Dead S3 notifications in the outbox, for an operator to handle"),
];
