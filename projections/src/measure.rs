//! The metrics of projecting, under the names that operators see.

use chrono::{DateTime, Utc};
use metrics::{counter, gauge, histogram};

/// An event of `at` is visible in its row from `now` on.
pub(crate) fn visible(at: DateTime<Utc>, now: DateTime<Utc>) {
    let micros = (now - at).num_microseconds().unwrap_or(i64::MAX).max(0);
    #[allow(clippy::cast_precision_loss, reason = "half a century is within what an f64 holds")]
    histogram!("asset_ledger_visible_lag_ms").record(micros as f64 / 1_000.0);
}

/// The stored row was as new already: the hint was late or duplicate.
pub(crate) fn stale() {
    counter!("asset_ledger_rows_stale").increment(1);
}

/// A row was written without a hint.
pub(crate) fn repaired() {
    counter!("asset_ledger_rows_repaired").increment(1);
}

/// A row of a list could not be read, and its asset was folded from the journal instead.
pub(crate) fn unreadable() {
    counter!("asset_ledger_rows_unreadable").increment(1);
}

/// A list left out an asset of which neither row nor history can be read.
pub(crate) fn left_out() {
    counter!("asset_ledger_list_left_out").increment(1);
}

/// Whether the rows follow a journal that is not the present one.
pub(crate) fn position_lost(lost: bool) {
    gauge!("asset_ledger_position_lost").set(if lost { 1.0 } else { 0.0 });
}

/// An asset was parked.
pub(crate) fn parked() {
    counter!("asset_ledger_assets_parked").increment(1);
}
