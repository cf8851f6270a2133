//! The asset: what can happen to it, what it then is, and what may happen next.
//!
//! Everything here is pure and synchronous: time, ids and what S3 shows come in as arguments.

mod decide;
pub(crate) mod declaration;
mod event;
mod invisible;
mod state;

pub use decide::{Command, EVENTS_MAX, ObservedObject, PinnedVersion, Rejection, decide, has_room};
pub use declaration::{
    CONTENT_TYPE_MAX, Declaration, FILENAME_MAX, InvalidField, REASON_MAX, Reason, SIZE_MAX,
    TAGS_BYTES_MAX, TAGS_MAX,
};
pub use event::{Event, UploadKind};
pub use state::{Asset, AssetStatus, ImpossibleEvent, Life};
