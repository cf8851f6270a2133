//! Histories in files: written, read with care, checked, and brought into a journal.
//!
//! An export is a folder, or a tar of the same files: `events/` holds whole chains, one event's
//! stored bytes a line, sorted by tenant and asset; `heads.jsonl` the head of each; `manifest.json`
//! what it all is. The manifest comes last and the whole gets its name when it is finished, so
//! that what was cut off is taken for nothing. docs/AUDIT.md tells the form to whoever checks one.
//!
//! What is read here may come from anybody: nothing is believed that does not verify, every size
//! has a limit, and no name from a file becomes a path.

mod against;
mod archive;
mod check;
mod checkpoint;
mod durable;
mod filter;
mod form;
mod heads;
mod import;
mod input;
mod lines;
mod runs;
mod sorted;
mod take;
#[cfg(test)]
mod tests;
mod writer;

pub use against::{Against, Comparison, Met, Vouched, note_beside, read_note};
pub use archive::{Archive, Part};
pub use check::{Checked, Seen, Tell, check, check_against};
pub use checkpoint::left_out_beside;
pub use durable::{Draft, leftovers, sync_beside};
pub use filter::Filter;
pub use form::{Layout, Manifest};
pub use heads::{Heads, Joined};
pub use import::{Import, Imported};
pub use input::{Handle, Input, Stream, small, text};
pub use runs::{Item, Looked, Run, Runs};
pub use sorted::{Merge, Sorted};
pub use take::{Heard, Source};
pub use writer::{Shape, Writer};
