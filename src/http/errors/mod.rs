//! What a client is answered when something went wrong.

pub(super) mod code;
pub(super) mod problem;
