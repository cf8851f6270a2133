//! `tenant_suspended`, schema 1: the reason, if one was given.

use serde::{Deserialize, Serialize};

use super::{StoredForm, check_reason};
use crate::access::AccessEvent;
use crate::asset::InvalidField;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantSuspendedV1 {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl StoredForm for TenantSuspendedV1 {
    const KIND: &'static str = "tenant_suspended";
    const SCHEMA: u32 = 1;

    fn within_limits(&self) -> Result<(), InvalidField> {
        check_reason(self.reason.as_deref())
    }
}

impl From<TenantSuspendedV1> for AccessEvent {
    fn from(TenantSuspendedV1 { reason }: TenantSuspendedV1) -> Self {
        Self::TenantSuspended { reason }
    }
}
