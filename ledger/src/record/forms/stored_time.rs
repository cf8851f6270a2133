//! A time under `data`, in the form of every time of an event.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::time;

/// A time with one spelling.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(into = "String", try_from = "&str")]
pub(super) struct StoredTime(pub(super) DateTime<Utc>);

impl From<StoredTime> for String {
    fn from(StoredTime(at): StoredTime) -> Self {
        time::format(at)
    }
}

impl TryFrom<&str> for StoredTime {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, &'static str> {
        time::parse(text).map(Self).ok_or("not a time with six digits")
    }
}
