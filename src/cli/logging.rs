//! Logs go to standard error: standard output is for a command's result.

mod line_format;
mod output;
mod repeats;

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

use self::line_format::LineFormat;
use self::output::LogOutput;
use self::repeats::Repeats;
use super::{LogFormat, LogOptions, render};
use crate::logging;

/// Starts the log. The result ends it.
pub(super) fn start(log: &LogOptions, quiet: bool) -> anyhow::Result<LogOutput> {
    let default = if quiet { "warn" } else { "info" };
    let wanted = log.log.as_deref().unwrap_or(default);
    let filter = logging::filter(wanted)
        .with_context(|| format!("--log: {wanted:?} is not a log filter; try `info` or `debug`"))?;
    let json = matches!(log.log_format, LogFormat::Json);
    let output = LogOutput::start(io::stderr()).context("cannot start a thread")?;
    output.precede_panics();
    let lines =
        tracing_subscriber::fmt::layer().with_writer(EscapedLines { output: output.clone(), json });
    // A line that cannot be written is lost: reporting it on the same stream would panic.
    let lines = lines.with_ansi(io::stderr().is_terminal()).log_internal_errors(false);
    let lines = match log.log_format {
        LogFormat::Text => lines.with_target(false).map_event_format(LineFormat).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let repeats = Repeats::default();
    tracing_subscriber::registry().with(lines).with(filter).with(repeats.clone()).init();
    repeats.tell().context("cannot start a thread")?;
    Ok(output)
}

/// Lines without control characters from logged values. The line writer has escaped escape
/// characters in values; the remaining ones are its colours.
struct EscapedLines {
    output: LogOutput,
    json: bool,
}

struct EscapedLine<'a> {
    lines: &'a EscapedLines,
    soon: bool,
}

impl<'a> MakeWriter<'a> for EscapedLines {
    type Writer = EscapedLine<'a>;

    fn make_writer(&'a self) -> EscapedLine<'a> {
        EscapedLine { lines: self, soon: false }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> EscapedLine<'a> {
        EscapedLine { lines: self, soon: line.name() == logging::MAY_WAIT }
    }
}

impl Write for EscapedLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let EscapedLines { output, json } = self.lines;
        let write =
            |line: &[u8]| if self.soon { output.write_soon(line) } else { output.write(line) };
        if is_plain(bytes) {
            write(bytes);
        } else {
            let text = String::from_utf8_lossy(bytes);
            let text = if *json { render::json(&text) } else { render::coloured(&text) };
            write(text.as_bytes());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a line is visible ASCII, which needs no escapes. Without a branch for each byte.
fn is_plain(line: &[u8]) -> bool {
    line.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_ascii_needs_no_look_at_its_characters() {
        assert!(is_plain(b"2026-11-23T08:00:00Z  INFO \"a\" ~\n"));
        for odd in ["\t", "\u{1b}", "\u{7f}", "\0", "\r", "\u{202e}", "\u{9b}", "\u{e4}"] {
            assert!(!is_plain(format!("some text {odd} and more").as_bytes()), "{odd:?}");
        }
    }
}
