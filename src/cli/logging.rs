//! Logs go to standard error: standard output is for what was asked for.

mod repeats;

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::prelude::*;

use self::repeats::Repeats;
use super::{Log, LogFormat};
use crate::logging;

pub(super) fn start(log: &Log, quiet: bool) -> anyhow::Result<()> {
    let default = if quiet { "warn" } else { "info" };
    let wanted = log.log.as_deref().unwrap_or(default);
    let filter = logging::filter(wanted)
        .with_context(|| format!("--log: {wanted:?} is not a filter; try `info` or `debug`"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A line that cannot be written is lost: telling of it on the same stream would panic.
    let lines = lines.with_ansi(std::io::stderr().is_terminal()).log_internal_errors(false);
    let lines = match log.log_format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let repeats = Repeats::default();
    tracing_subscriber::registry().with(lines).with(filter).with(repeats.clone()).init();
    repeats.tell().context("cannot start a thread")
}
