//! The layers that every request passes on its way to a route, and its answer on the way back.

mod access_log;
pub(super) mod actor;
pub(super) mod around;
pub(super) mod auth;
pub(super) mod command_label;
pub(super) mod deadline;
pub(super) mod headers;
mod legacy_envelope;
pub(super) mod origin;
pub(super) mod panics;
mod problems;
pub(super) mod rate;
pub(super) mod request_id;
