//! `tenant_created`, schema 1: no data.

use serde::{Deserialize, Serialize};

use super::StoredForm;
use crate::access::AccessEvent;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantCreatedV1 {}

impl StoredForm for TenantCreatedV1 {
    const KIND: &'static str = "tenant_created";
    const SCHEMA: u32 = 1;
}

impl From<TenantCreatedV1> for AccessEvent {
    fn from(_: TenantCreatedV1) -> Self {
        Self::TenantCreated
    }
}
