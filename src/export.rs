//! Histories in files: written, read with care, checked, and imported into a journal.
//!
//! An export is a folder, or a tar of the same files: `events/` holds whole chains, one event's
//! stored bytes a line, sorted by tenant and asset; `heads.jsonl` the head of each; `streams/` and
//! `heads-streams.jsonl` the same of named streams; `manifest.json` the description. The manifest
//! is written last, and a finished export gets its name last: one that was cut off is not taken for
//! an export. docs/AUDIT.md describes the form for auditors.
//!
//! The files read here are untrusted: only verified data is used, every size has a limit, and no
//! name from a file becomes a path.

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
mod source;
#[cfg(test)]
mod tests;
mod writer;

pub use against::{
    CheckpointHeads, Comparison, ComparisonResult, HeadsProvenance, note_beside, read_note,
};
pub use archive::{Archive, ArchiveFile};
pub use check::{CheckObserver, CheckSummary, FindingObserver, check, check_against};
pub use checkpoint::left_out_beside;
pub use durable::{PartialFile, leftovers, sync_beside};
pub use filter::ExportFilter;
pub use form::{ExportManifest, ExportedStreams, Layout};
pub use heads::{HeadsFile, JoinedHeads};
pub use import::{ImportSummary, Importer};
pub use input::{ExportInput, FileHandle, InputStream, small, text};
pub use runs::{ExportItem, InputKind, LineRun, Runs};
pub use sorted::{RunMerge, SortedHistories};
pub use source::{BrokenHistories, ExportObserver, ExportSource};
pub use writer::{ExportShape, ExportWriter};
