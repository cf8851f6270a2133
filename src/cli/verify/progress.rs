//! How far it has come, for whoever waits at a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use projections::audit::AuditProgress;

use crate::object_audit::ObjectAudit;
use crate::plural::count;

/// How often: as often as an eye can follow.
const EVERY: Duration = Duration::from_millis(200);

/// Tells the figures again and again, on standard error and only if that is a terminal. It never
/// ends by itself; dropped, it wipes its line.
pub(super) async fn show(progress: &AuditProgress, files: Option<&ObjectAudit>) {
    if !io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let _wiped = Wiped;
    loop {
        tokio::time::sleep(EVERY).await;
        let (assets, events, rows) = progress.figures();
        let files =
            files.map_or_else(String::new, |files| format!(", {}", count(files.looked(), "file")));
        let mut out = io::stderr().lock();
        // Whoever took the terminal away does not wait.
        let (assets, events) = (count(assets, "asset"), count(events, "event"));
        let rows = count(rows, "row");
        let _ = write!(out, "\r{assets}, {events}, {rows}{files}");
        let _ = out.flush();
    }
}

struct Wiped;

impl Drop for Wiped {
    fn drop(&mut self) {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}
