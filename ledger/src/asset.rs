//! The asset: its events, the state that they fold to, and the rules for the next event.
//!
//! Everything here is pure and synchronous: time, ids and observations of S3 are arguments.

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
pub(crate) use state::NewHead;
pub use state::{Asset, AssetStatus, ImpossibleEvent, Life};
