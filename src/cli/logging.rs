//! Logs go to standard error: standard output is for a command's result.

mod repeats;

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use tracing_subscriber::prelude::*;

use self::repeats::Repeats;
use super::{LogFormat, LogOptions, render};
use crate::logging;

pub(super) fn start(log: &LogOptions, quiet: bool) -> anyhow::Result<()> {
    let default = if quiet { "warn" } else { "info" };
    let wanted = log.log.as_deref().unwrap_or(default);
    let filter = logging::filter(wanted)
        .with_context(|| format!("--log: {wanted:?} is not a log filter; try `info` or `debug`"))?;
    let json = matches!(log.log_format, LogFormat::Json);
    let lines = tracing_subscriber::fmt::layer().with_writer(move || Escaped { json });
    // A line that cannot be written is lost: reporting it on the same stream would panic.
    let lines = lines.with_ansi(io::stderr().is_terminal()).log_internal_errors(false);
    let lines = match log.log_format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let repeats = Repeats::default();
    tracing_subscriber::registry().with(lines).with(filter).with(repeats.clone()).init();
    repeats.tell().context("cannot start a thread")
}

/// Standard error without control characters from logged values. Each line is written at once. The
/// line writer has escaped escape characters in values; the remaining ones are its colours.
struct Escaped {
    json: bool,
}

impl Write for Escaped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = if self.json { render::json(&text) } else { render::coloured(&text) };
        io::stderr().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
