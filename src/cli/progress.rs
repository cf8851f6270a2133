//! How far long work has come: on a terminal a line that changes, elsewhere one now and then.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use ledger::audit::Finding;

use super::render;
use crate::export::ExportObserver;
use crate::plural::count;

/// Between two changes of a line on a terminal.
const LIVELY: Duration = Duration::from_millis(200);
/// Between two lines of a log.
const CALM: Duration = Duration::from_secs(10);
/// Findings that are told one by one; the rest is counted.
const TOLD: u64 = 20;

/// Tells on standard error how many events were worked on.
pub(super) struct ProgressBar {
    done: &'static str,
    events: u64,
    start: Instant,
    told: Instant,
    terminal: bool,
    findings: u64,
}

impl ProgressBar {
    /// Begins; `done` says what is done to events.
    pub(super) fn new(done: &'static str) -> Self {
        let (now, terminal) = (Instant::now(), io::stderr().is_terminal());
        Self { done, events: 0, start: now, told: now, terminal, findings: 0 }
    }

    /// So many events have been worked on by now.
    pub(super) fn reached(&mut self, events: u64) {
        self.events = events;
        let pause = if self.terminal { LIVELY } else { CALM };
        if self.told.elapsed() >= pause {
            self.told = Instant::now();
            self.tell();
        }
    }

    fn tell(&self) {
        let seconds = self.start.elapsed().as_secs().max(1);
        let (begin, end) = if self.terminal { ("\r", "\x1b[K") } else { ("", "\n") };
        let (rate, done) = (self.events / seconds, self.done);
        let events = count(self.events, "event");
        let _ = write!(io::stderr(), "{begin}{events} {done}, {rate}/s{end}");
    }
}

impl ExportObserver for ProgressBar {
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

impl Drop for ProgressBar {
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        if self.findings > TOLD {
            let more = count(self.findings - TOLD, "finding");
            let _ = writeln!(io::stderr(), "and {more} more");
        }
    }
}
