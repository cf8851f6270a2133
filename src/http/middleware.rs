//! The layers that every request passes on its way to a route, and its answer on the way back.

pub(super) mod access_log;
pub(super) mod actor;
pub(super) mod auth;
pub(super) mod command_label;
pub(super) mod deadline;
pub(super) mod headers;
pub(super) mod legacy_envelope;
pub(super) mod origin;
pub(super) mod panics;
pub(super) mod problems;
pub(super) mod request_id;
