//! `uploaded`, schema 1: no data.

use serde::{Deserialize, Serialize};

use super::StoredForm;
use crate::asset::Event;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadedV1 {}

impl StoredForm for UploadedV1 {
    const KIND: &'static str = "uploaded";
    const SCHEMA: u32 = 1;
}

impl From<UploadedV1> for Event {
    fn from(UploadedV1 {}: UploadedV1) -> Self {
        Self::Uploaded
    }
}
