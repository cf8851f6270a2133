//! The frame of every function's handler: logs, metrics, and panics.

use std::io;
use std::sync::Arc;

use ledger::Effects;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use super::emf::Emf;
use crate::logging;
use crate::system::SystemEffects;

/// The variable with the log filter, such as `info` or `info,asset_ledger::http=debug`.
const LOG: &str = "ASSET_LEDGER_LOG";
/// Always enabled: the runtime's span, which names the invocation in every line.
const INVOCATION: &str = "lambda_runtime::layers::trace=info";

/// A running function.
#[derive(Clone)]
pub struct Function {
    emf: Emf,
    effects: Arc<dyn Effects>,
}

impl Function {
    /// Starts the logs, one JSON object in each line, and the metrics, under the function's own
    /// name.
    ///
    /// # Errors
    /// If the process has either already, or the log filter is invalid.
    pub fn start() -> Result<Self, lambda_runtime::Error> {
        start_logs()?;
        let emf = Emf::new(&lambda_runtime::Config::from_env().function_name);
        metrics::set_global_recorder(emf.clone())?;
        Ok(Self { emf, effects: Arc::new(SystemEffects) })
    }

    /// Handles an invocation, and writes its metrics before it returns: afterwards the process is
    /// frozen, possibly forever. A panic is passed on to Lambda, after the metrics.
    pub async fn answer<T>(&self, handler: impl Future<Output = T>) -> T {
        let _end = ShutdownEvent(self);
        handler.await
    }
}

struct ShutdownEvent<'a>(&'a Function);

impl Drop for ShutdownEvent<'_> {
    fn drop(&mut self) {
        let Function { emf, effects } = self.0;
        if let Err(error) = emf.flush(effects.now(), &mut io::stdout().lock()) {
            tracing::error!(%error, "cannot write the metrics");
        }
    }
}

/// Logs to standard error, which CloudWatch reads as well: standard output is for the metrics.
fn start_logs() -> Result<(), lambda_runtime::Error> {
    let filter = logging::filter(&with_invocation(&wanted()))?;
    Ok(tracing_subscriber::registry().with(lines(io::stderr)).with(filter).try_init()?)
}

/// The form of a line.
pub(super) fn lines<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).json();
    lines.flatten_event(true).with_current_span(false)
}

fn with_invocation(wanted: &str) -> String {
    format!("{wanted},{INVOCATION}")
}

#[allow(clippy::disallowed_methods, reason = "a function has no command line to be told by")]
fn wanted() -> String {
    std::env::var(LOG).unwrap_or_else(|_| "info".to_owned())
}

#[cfg(test)]
mod tests {
    use tracing::{Level, enabled};

    use super::*;

    #[test]
    fn whoever_hears_only_warnings_hears_of_which_invocation_they_are() {
        let filter = logging::filter(&with_invocation("warn")).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(filter), || {
            assert!(enabled!(target: "lambda_runtime::layers::trace", Level::INFO));
            assert!(enabled!(Level::WARN) && !enabled!(Level::INFO));
        });
    }
}
