//! Who was given a URL: the access log of a tenant's objects.
//!
//! Each URL that the service gives out is an event of one of a day's streams of the tenant,
//! `<tenant>#urls-<yyyymmdd>-<lane>`, and not of the asset: every command folds the history of its
//! asset, and a download changes nothing of it. The four lanes of a day keep writers apart.
//! [`UrlLog`] appends and reads.

mod append;
mod event;
mod read;
mod stream;
#[cfg(test)]
mod tests;

pub use append::{UrlLog, UrlLogError};
pub use event::{UrlGranted, UrlMethod};
pub use read::{UrlLogCursor, UrlLogEntry, UrlLogPage, UrlLogQuery};
pub use stream::{LANES, UrlLogStream};
