//! Who may use a tenant: its API keys, their scopes, and its limits. All of it is the fold of one
//! named stream for each tenant, `<tenant>#access`, in the same journal as the assets.
//!
//! The events, their fold and the rules are pure and synchronous. [`AccessService`] executes
//! commands on the stream, and authenticates keys from a cache.

mod api_key;
mod cache;
mod decide;
mod event;
mod history;
mod noted_uses;
mod scope;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod upload_key;
mod upload_token;

pub use api_key::{ApiKey, ApiKeyError, KeyId, KeyIdError};
pub use decide::{
    AccessCommand, AccessRejection, KeyRequest, LIVE_KEYS_MAX, NewKey, ROTATION_GRACE_MAX,
    Rotation, StoredKey,
};
pub use event::{
    AccessEvent, KEY_NAME_MAX, KeyCreated, KeyName, Replacement, TenantLimits, URL_SECONDS_MAX,
};
pub use history::AccessHistory;
pub use scope::{Scope, ScopeError, Scopes};
pub use service::{AccessAnswered, AccessRefusal, AccessService};
pub use state::{GrantedKey, ImpossibleAccess, TenantAccess};
pub use upload_key::UploadPublicKey;
pub use upload_token::{
    UPLOAD_ASSETS_MAX, UPLOAD_TOKEN_LIFE_MAX, UploadGrant, UploadToken, UploadTokenError,
    UploadTokenFlaw,
};
