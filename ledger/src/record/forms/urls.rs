//! The stored form of the events of a tenant's access log.

mod url_granted_v1;

use self::url_granted_v1::UrlGrantedV1;
use super::{FormReader, StoredData, StoredForm};
use crate::url_log::UrlGranted;

/// Every readable form.
pub(in crate::record) const FORMS: [FormReader<UrlGranted>; 1] = [FormReader::of::<UrlGrantedV1>()];

/// The event in the newest form.
pub(in crate::record) fn newest(event: &UrlGranted) -> serde_json::Result<StoredData> {
    StoredData::of(&UrlGrantedV1::from(event))
}
