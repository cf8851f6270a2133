//! The scheduled jobs of a ledger: verification and checkpoints.
//!
//! On one machine a schedule (`schedule.rs`) runs beside the server, one job at a time and paced,
//! and saves the time of each last run in the data folder. On AWS the function `audit` runs the
//! same verification, started by a schedule of the stack.

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
