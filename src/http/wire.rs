//! The wire formats: the contents of requests, and the JSON of the answers.

pub(super) mod asset_view;
pub(super) mod body;
pub(super) mod event_view;
pub(super) mod idempotency;
pub(super) mod key_view;
pub(super) mod new_asset;
pub(super) mod params;
pub(super) mod signed_urls;
pub(super) mod upload_token;
