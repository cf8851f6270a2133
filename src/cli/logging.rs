//! Logs go to standard error: standard output is for what was asked for.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::prelude::*;

use super::{Log, LogFormat};
use crate::logging;

pub(super) fn start(log: &Log, quiet: bool) -> anyhow::Result<()> {
    let default = if quiet { "warn" } else { "info" };
    let wanted = log.log.as_deref().unwrap_or(default);
    let filter = logging::filter(wanted)
        .with_context(|| format!("--log: {wanted:?} is not a filter; try `info` or `debug`"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    let lines = match log.log_format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    tracing_subscriber::registry().with(lines).with(filter).init();
    Ok(())
}
