//! `purge_requested`, schema 1: no data.

use serde::{Deserialize, Serialize};

use super::StoredForm;
use crate::asset::Event;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurgeRequestedV1 {}

impl StoredForm for PurgeRequestedV1 {
    const KIND: &'static str = "purge_requested";
    const SCHEMA: u32 = 1;
}

impl From<PurgeRequestedV1> for Event {
    fn from(PurgeRequestedV1 {}: PurgeRequestedV1) -> Self {
        Self::PurgeRequested
    }
}
