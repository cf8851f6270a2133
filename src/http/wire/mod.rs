//! What requests and answers look like.

pub(super) mod answers;
pub(super) mod body;
pub(super) mod event_view;
pub(super) mod params;
pub(super) mod urls;
