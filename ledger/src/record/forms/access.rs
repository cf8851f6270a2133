//! The stored forms of the events of a tenant's access.

mod key_created_v1;
mod key_created_v2;
mod key_revoked_v1;
mod tenant_limited_v1;
mod tenant_suspended_v1;

use self::key_created_v1::KeyCreatedV1;
use self::key_created_v2::KeyCreatedV2;
use self::key_revoked_v1::KeyRevokedV1;
use self::tenant_limited_v1::TenantLimitedV1;
use self::tenant_suspended_v1::TenantSuspendedV1;
use super::without_data::{TenantCreatedV1, TenantResumedV1};
use super::{FormReader, StoredData, StoredForm};
use crate::access::AccessEvent;
use crate::asset::{InvalidField, REASON_MAX};
use crate::record::limits::check_text;

/// Every readable form.
pub(in crate::record) const FORMS: [FormReader<AccessEvent>; 7] = [
    FormReader::of::<TenantCreatedV1>(),
    FormReader::of::<TenantLimitedV1>(),
    FormReader::of::<TenantSuspendedV1>(),
    FormReader::of::<TenantResumedV1>(),
    FormReader::of::<KeyCreatedV1>(),
    FormReader::of::<KeyCreatedV2>(),
    FormReader::of::<KeyRevokedV1>(),
];

/// The event in the newest form of its type.
pub(in crate::record) fn newest(event: &AccessEvent) -> serde_json::Result<StoredData> {
    match event.clone() {
        AccessEvent::TenantCreated => StoredData::of(&TenantCreatedV1 {}),
        AccessEvent::TenantLimited(limits) => StoredData::of(&TenantLimitedV1::from(&limits)),
        AccessEvent::TenantSuspended { reason } => StoredData::of(&TenantSuspendedV1 { reason }),
        AccessEvent::TenantResumed => StoredData::of(&TenantResumedV1 {}),
        AccessEvent::KeyCreated(created) => StoredData::of(&KeyCreatedV2::from(&created)),
        AccessEvent::KeyRevoked { id, reason } => StoredData::of(&KeyRevokedV1 { id, reason }),
    }
}

fn check_reason(reason: Option<&str>) -> Result<(), InvalidField> {
    reason.map_or(Ok(()), |reason| check_text("reason", reason, REASON_MAX))
}
