//! What this process counts, kept for Prometheus to ask.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// From a row that was there at once to one that came a minute late, in milliseconds.
const LAGS: [f64; 12] =
    [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1_000.0, 5_000.0, 15_000.0, 60_000.0];
/// How often what was measured is put into its buckets; until then each value is kept.
const UPKEEP: Duration = Duration::from_secs(5);

/// The one that everything in this process counts into.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// What this process counts.
#[derive(Clone)]
pub(crate) struct Prometheus(PrometheusHandle);

impl Prometheus {
    /// Counts from now on; a second one counts into the first.
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

    /// As Prometheus reads it.
    pub(crate) fn text(&self) -> String {
        self.0.render()
    }

    /// Keeps what was measured small, also where nobody asks for it.
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

/// Says what each figure is. Counters are told from the start: an alarm on a rise must see the 0.
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
    describe_counter!(
        "asset_ledger_scheduled_failures",
        "Times that a scheduled job could not be done, by job"
    );
    describe_histogram!("asset_ledger_visible_lag_ms", "From an event to its row, in milliseconds");
}

const COUNTERS: [(&str, &str); 17] = [
    ("asset_ledger_events_recorded", "Events appended to the journal"),
    ("asset_ledger_rows_stale", "Rows that were as new already"),
    (
        "asset_ledger_rows_unreadable",
        "Rows of lists that this program could not read; the journal told of their assets",
    ),
    (
        "asset_ledger_list_left_out",
        "Assets left out of a list: neither row nor history is readable",
    ),
    ("asset_ledger_rows_repaired", "Rows written by a redrive, that no word had led to"),
    ("asset_ledger_assets_parked", "Assets set aside for a person"),
    (
        "asset_ledger_tamper",
        "Events of the journal changed or removed, and what verify found altered or lost",
    ),
    ("asset_ledger_verify_completed", "Times that this process verified the ledger to its end"),
    ("asset_ledger_verify_findings", "Findings of all these, each told in the log"),
    ("asset_ledger_stream_gaps", "Times that a stream lost records"),
    ("asset_ledger_overwrite_attempts", "Versions put over a confirmed one"),
    ("asset_ledger_pins_missing", "Looks that did not find the pinned version of an asset"),
    ("asset_ledger_objects_altered", "Files read that were not as they were uploaded"),
    ("asset_ledger_objects_set_aside", "Files of no version moved to s3/lost"),
    ("asset_ledger_notifications_dropped", "Notifications about nothing of ours"),
    ("asset_ledger_notifications_later", "Notifications put off"),
    ("asset_ledger_versions_swept", "Versions deleted of purged assets"),
];

const GAUGES: [(&str, &str); 7] = [
    ("asset_ledger_stream_lag_ms", "Age of the oldest of the stream that is not a row"),
    ("asset_ledger_arrivals_behind", "Events of the journal that are not rows yet"),
    ("asset_ledger_outbox_waiting", "Notifications of S3 that are to be handled"),
    ("asset_ledger_verify_age_seconds", "Since the ledger was last verified to its end"),
    ("asset_ledger_verify_last_findings", "Findings of that time"),
    ("asset_ledger_checkpoint_age_seconds", "Since a checkpoint was last written"),
    ("asset_ledger_outbox_dead", "Notifications of S3 set aside for a person"),
];
