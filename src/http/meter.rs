//! The port to the metrics of this process.

use std::sync::Arc;

use async_trait::async_trait;

/// A source of metrics.
#[async_trait]
pub trait MetricsSource: Send + Sync {
    /// All metrics at this moment, in Prometheus' text form.
    async fn text(&self) -> String;
}

/// The source of `/metrics`, as a state of its route. Functions have none: a scrape would reach one
/// of many.
#[derive(Clone)]
pub(super) struct Meter(pub(super) Option<Arc<dyn MetricsSource>>);
