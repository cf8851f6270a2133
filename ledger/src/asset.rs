//! The asset: what can happen to it, what it then is, and what may happen next.
//!
//! Everything here is pure and synchronous: time, ids and what S3 shows come in as arguments.

mod decide;
pub(crate) mod declaration;
mod event;
mod state;

pub use decide::{Command, Pin, Rejection, Sight, decide};
pub use declaration::{Declaration, Invalid, Reason};
pub(crate) use event::Unreadable;
pub use event::{Event, UploadKind};
pub use state::{Asset, Impossible, Life, Status};
