//! The progress of long work: a changing line on a terminal, otherwise a line now and then.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use ledger::audit::Finding;
use tokio::time::sleep;

use super::render;
use crate::export::ExportObserver;
use crate::plural::count;

/// The interval of updates of a line on a terminal.
const LIVELY: Duration = Duration::from_millis(200);
/// The interval of lines of a log.
const CALM: Duration = Duration::from_secs(10);
/// Findings that are listed; the rest is counted.
const TOLD: u64 = 20;

/// A line on standard error with the progress of work.
pub(super) struct ProgressLine {
    terminal: bool,
    told: Instant,
}

impl ProgressLine {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), told: Instant::now() }
    }

    fn pause(&self) -> Duration {
        if self.terminal { LIVELY } else { CALM }
    }

    /// Writes the text, if the last one is old enough.
    fn tell(&mut self, text: impl FnOnce() -> String) {
        if self.told.elapsed() < self.pause() {
            return;
        }
        self.told = Instant::now();
        let (begin, end) = if self.terminal { ("\r", "\x1b[K") } else { ("", "\n") };
        // The work does not depend on a reader of the pipe.
        let _ = write!(io::stderr(), "{begin}{}{end}", text());
    }

    fn wipe(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Runs the work and shows its progress.
pub(super) fn beside<T>(
    work: impl Future<Output = T>,
    text: impl Fn() -> String,
) -> impl Future<Output = T> {
    let (mut work, mut line) = (Box::pin(work), ProgressLine::new());
    async move {
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(line.pause()) => line.tell(&text),
            }
        }
    }
}

/// The same, for work that logs no progress.
pub(super) fn on_terminal<T>(
    work: impl Future<Output = T>,
    text: impl Fn() -> String,
) -> impl Future<Output = T> {
    let work = Box::pin(work);
    async move { if io::stderr().is_terminal() { beside(work, text).await } else { work.await } }
}

/// Shows the number of processed events, and the findings.
pub(super) struct EventProgress {
    done: &'static str,
    events: u64,
    start: Instant,
    findings: u64,
    line: ProgressLine,
}

impl EventProgress {
    /// Starts; `done` is the verb for processed events.
    pub(super) fn new(done: &'static str) -> Self {
        Self { done, events: 0, start: Instant::now(), findings: 0, line: ProgressLine::new() }
    }

    /// Sets the number of processed events.
    pub(super) fn reached(&mut self, events: u64) {
        self.events = events;
        let (seconds, done) = (self.start.elapsed().as_secs().max(1), self.done);
        self.line.tell(|| format!("{} {done}, {}/s", count(events, "event"), events / seconds));
    }
}

impl ExportObserver for EventProgress {
    fn read(&mut self, events: u64) {
        self.reached(self.events + events);
    }

    fn broken(&mut self, findings: Vec<Finding>) {
        for Finding { kind, asset, says, .. } in findings {
            self.findings += 1;
            if self.findings <= TOLD {
                let (asset, says) = (render::line(&asset), render::line(&says));
                let _ = writeln!(io::stderr(), "{kind}: {asset}: {says}");
            }
        }
    }

    fn too_long(&mut self, partition: &str, bytes: usize) {
        let (partition, bytes) = (render::line(partition), count(bytes as u64, "byte"));
        let why = "more than an export allows for one asset: use `history --format jsonl`";
        let _ = writeln!(io::stderr(), "too long: {partition}: its events have {bytes}, {why}");
    }
}

impl Drop for EventProgress {
    fn drop(&mut self) {
        self.line.wipe();
        if self.findings > TOLD {
            let more = count(self.findings - TOLD, "finding");
            let _ = writeln!(io::stderr(), "and {more} more");
        }
    }
}
