//! `purged`, schema 1: no data.

use serde::{Deserialize, Serialize};

use super::StoredForm;
use crate::asset::Event;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurgedV1 {}

impl StoredForm for PurgedV1 {
    const KIND: &'static str = "purged";
    const SCHEMA: u32 = 1;
}

impl From<PurgedV1> for Event {
    fn from(PurgedV1 {}: PurgedV1) -> Self {
        Self::Purged
    }
}
