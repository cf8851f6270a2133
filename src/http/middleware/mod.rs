//! The layers around the routes.

pub(super) mod actor;
pub(super) mod caller;
pub(super) mod command_label;
pub(super) mod envelope;
pub(super) mod origin;
pub(super) mod shield;
