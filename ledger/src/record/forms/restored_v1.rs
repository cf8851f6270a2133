//! `restored`, schema 1: no data.

use serde::{Deserialize, Serialize};

use super::StoredForm;
use crate::asset::Event;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoredV1 {}

impl StoredForm for RestoredV1 {
    const KIND: &'static str = "restored";
    const SCHEMA: u32 = 1;
}

impl From<RestoredV1> for Event {
    fn from(RestoredV1 {}: RestoredV1) -> Self {
        Self::Restored
    }
}
