//! `tenant_resumed`, schema 1: no data.

use serde::{Deserialize, Serialize};

use super::StoredForm;
use crate::access::AccessEvent;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantResumedV1 {}

impl StoredForm for TenantResumedV1 {
    const KIND: &'static str = "tenant_resumed";
    const SCHEMA: u32 = 1;
}

impl From<TenantResumedV1> for AccessEvent {
    fn from(_: TenantResumedV1) -> Self {
        Self::TenantResumed
    }
}
