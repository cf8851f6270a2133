//! An embedded DynamoDB for tests: in this process, without a port, new for every test.
//!
//! The SDK calls it like the real one, through an HTTP client that parses the request and calls the
//! engine. This client has two instruments: a tally of requests and their costs, and faults.
#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "a test's tool may panic")]

mod connector;
mod dispatch;
mod fault;
mod tables;
mod tally;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Builder, Config, Credentials, Region, SharedHttpClient,
};
use dynoxide::Database;

use connector::Connector;
use fault::Plan;

pub use fault::{Asked, Fault};
pub use tables::{JOURNAL, Tables, VIEWS, endpoint, endpoint_or_engine};
pub use tally::{UnitTally, Used};

/// A DynamoDB in this process, dropped with its last client.
#[derive(Clone)]
pub struct Engine(Arc<Server>);

struct Server {
    database: Database,
    tally: Mutex<UnitTally>,
    plan: Mutex<Option<Plan>>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let database = Database::memory().expect("an engine in memory");
        Self(Arc::new(Server { database, tally: Mutex::default(), plan: Mutex::default() }))
    }

    /// A client without retries or timeouts.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::from_conf(self.config().build())
    }

    /// The configuration of clients: add timeouts and retries.
    #[must_use]
    pub fn config(&self) -> Builder {
        Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("engine", "engine", None, None, "engine"))
            .retry_config(RetryConfig::disabled())
            .http_client(self.http_client())
    }

    /// An HTTP client, also for DynamoDB Streams' SDK.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        Connector::client(Arc::clone(&self.0))
    }

    /// The reply to a request from another connection: status and JSON.
    #[must_use]
    pub fn answer(&self, operation: &str, body: &[u8]) -> (u16, String) {
        let answer = dispatch::run(&self.0.database, operation, body);
        (answer.status, answer.body)
    }

    /// Both tables as in `migrations/`, with unique names. They have no streams: the engine never
    /// trims streams, and slows down with each record.
    pub async fn tables(&self) -> Tables {
        self.created(false).await
    }

    /// Both tables as in `migrations/`.
    pub async fn tables_with_streams(&self) -> Tables {
        self.created(true).await
    }

    /// From now on, each request has the fault that `plan` returns.
    pub fn fail(&self, plan: impl FnMut(&Asked<'_>) -> Option<Fault> + Send + 'static) {
        *lock(&self.0.plan) = Some(Box::new(plan));
    }

    /// No faults from now on.
    pub fn heal(&self) {
        *lock(&self.0.plan) = None;
    }

    /// The requests and units since the last call of this.
    #[must_use]
    pub fn take_tally(&self) -> UnitTally {
        std::mem::take(&mut *lock(&self.0.tally))
    }

    async fn created(&self, streams: bool) -> Tables {
        let tables = Tables::create(self.client(), streams).await;
        drop(self.take_tally());
        tables
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
