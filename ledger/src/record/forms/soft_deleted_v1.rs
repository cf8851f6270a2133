//! `soft_deleted`, schema 1: the reason, if one was given.

use serde::{Deserialize, Serialize};

use super::{SpelledText, StoredForm};
use crate::asset::{Event, InvalidField, REASON_MAX};
use crate::record::limits::check_text;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SoftDeletedV1 {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl StoredForm for SoftDeletedV1 {
    const KIND: &'static str = "soft_deleted";
    const SCHEMA: u32 = 1;

    fn read_spelled(text: &mut SpelledText<'_>) -> Option<Self> {
        let reason = text.text(r#"{"reason":""#).map(str::to_owned);
        text.take(if reason.is_some() { "}" } else { "{}" })?;
        Some(Self { reason })
    }

    fn within_limits(&self) -> Result<(), InvalidField> {
        self.reason.as_deref().map_or(Ok(()), |reason| check_text("reason", reason, REASON_MAX))
    }
}

impl From<SoftDeletedV1> for Event {
    fn from(SoftDeletedV1 { reason }: SoftDeletedV1) -> Self {
        Self::SoftDeleted { reason }
    }
}
