//! The forms of events without data, each of schema 1.

use serde::{Deserialize, Serialize};

use super::{SpelledText, StoredForm};
use crate::access::AccessEvent;
use crate::asset::Event;

/// Defines the forms: one line for each, with its type and its event.
macro_rules! forms {
    ($( $form:ident $kind:literal $events:ident::$event:ident, )*) => { $(
        #[derive(Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $form {}

        impl StoredForm for $form {
            const KIND: &'static str = $kind;
            const SCHEMA: u32 = 1;

            fn read_spelled(text: &mut SpelledText<'_>) -> Option<Self> {
                text.take("{}").map(|()| Self {})
            }
        }

        impl From<$form> for $events {
            fn from(_: $form) -> Self {
                Self::$event
            }
        }
    )* };
}

forms! {
    UploadedV1 "uploaded" Event::Uploaded,
    RestoredV1 "restored" Event::Restored,
    PurgeRequestedV1 "purge_requested" Event::PurgeRequested,
    PurgedV1 "purged" Event::Purged,
    TenantCreatedV1 "tenant_created" AccessEvent::TenantCreated,
    TenantResumedV1 "tenant_resumed" AccessEvent::TenantResumed,
}
