//! The event of a URL that was given out. [`record`](crate::record) defines its stored form.

use chrono::{DateTime, Utc};

use crate::id::AssetId;

/// A URL was given out. It need not have been used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlGranted {
    /// The asset.
    pub asset: AssetId,
    /// The version of the asset at that time.
    pub version: u64,
    /// What the URL allows.
    pub method: UrlMethod,
    /// The version of the object, of a URL to read.
    pub version_id: Option<String>,
    /// The end of the URL.
    pub expires_at: DateTime<Utc>,
}

/// What a URL allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlMethod {
    /// To read one version of the object.
    Get,
    /// To write the object.
    Put,
}

impl UrlGranted {
    /// The event's name, which its stored forms use as their type.
    pub const KIND: &'static str = "url_granted";
}

impl UrlMethod {
    /// The method of HTTP.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }
}
