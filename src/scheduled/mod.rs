//! What a ledger does by itself now and then: it verifies itself, and writes checkpoints.
//!
//! On one machine a schedule (`schedule.rs`) runs beside serving, one job at a time and paced, and
//! remembers in the data folder when each was last done. On AWS the function `audit` does the same
//! look, started by a schedule of the stack.

#[cfg(feature = "local")]
mod jobs;
#[cfg(feature = "local")]
mod schedule;
#[cfg(feature = "local")]
mod state;
#[cfg(feature = "local")]
mod status;
mod throttle;
mod verified;

#[cfg(feature = "local")]
pub(crate) use jobs::JobContext;
#[cfg(feature = "local")]
pub use jobs::{CheckpointPlan, SchedulePlan};
#[cfg(feature = "local")]
pub(crate) use status::ScheduleStatus;
pub use throttle::{PacedScan, ReadPace};
pub use verified::{VerifiedSummary, verified};
