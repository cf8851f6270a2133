//! The API as a process on DynamoDB and S3, and the projection as another one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::Instant;

use super::stream::{DynamoStream, StreamFollower};
use super::{API_OPERATION, Clients, Config, Deployment, PROJECTOR_OPERATION, checks};
use crate::cors;
use crate::http::{
    Api, AuthMode, Check, Limits, MetricsSource, RatePolicy, only_metrics, router, watch,
};
use crate::jwt::AuthConfig;
use crate::prometheus::Prometheus;
use crate::server::{AnsweringService, BoundListener, Protocol, Tasks};
use crate::system::SystemEffects;

/// The minimum time for background tasks to end.
const WORKS: Duration = Duration::from_secs(6);

/// The options of the API.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The deployment.
    pub config: Config,
    /// The address of the API.
    pub listen: SocketAddr,
    /// Who decides which requests are served.
    pub auth: AuthMode,
    /// The rate limit of each caller.
    pub rate: Option<RatePolicy>,
    /// The issuers whose tokens are accepted, if any.
    pub issuers: Option<AuthConfig>,
    /// The address of `/metrics`, apart from the API.
    pub metrics_listen: Option<SocketAddr>,
    /// The S3 endpoint's URL for clients, if it differs from the one that this process uses.
    pub s3_url: Option<String>,
    /// Allowed web origins besides those of this machine.
    pub cors_origins: Vec<String>,
    /// The public URLs of the API behind a proxy; each as [`crate::http::spelt`].
    pub public_urls: Vec<String>,
    /// Whether the API accepts host names other than this machine's own.
    pub any_host: bool,
    /// How long requests in progress may take at a shutdown.
    pub drain: Duration,
}

/// The options of the projection.
#[derive(Debug, Clone)]
pub struct Projecting {
    /// The deployment.
    pub config: Config,
    /// The address of `/healthz`, `/readyz` and `/metrics`.
    pub listen: SocketAddr,
    /// Whether to project every asset of the journal first.
    pub catch_up: bool,
    /// How long requests in progress may take at a shutdown.
    pub drain: Duration,
}

/// A running server.
pub struct AwsServer {
    url: String,
    doors: Tasks,
    works: Tasks,
    drain: Duration,
}

impl AwsServer {
    /// Starts the API. When this returns, its address accepts connections.
    pub async fn serve(options: ServeOptions, shared: &SdkConfig) -> anyhow::Result<Self> {
        let pages = cors::pages(&options.cors_origins, &options.public_urls)?;
        let hosts = cors::hosts(&pages, options.any_host);
        let door = BoundListener::bind("--listen", options.listen).await?;
        let clients = Clients::new(shared, API_OPERATION).signing_for(options.s3_url.as_deref());
        let tables = checks::tables(&clients.dynamodb, &options.config);
        let parts = Deployment::new(options.config, clients);
        let limits = Limits { rate: options.rate, ..Limits::default() };
        let api = parts.api(options.auth, options.issuers, limits);
        let checks = api.checks.iter().cloned().chain(tables).collect();
        let metrics = match options.metrics_listen {
            Some(address) => Some(BoundListener::bind("--metrics-listen", address).await?),
            None => None,
        };
        Self::start(door, Tasks::default(), options.drain, |meter, doors| {
            if let Some(metrics) = metrics {
                let own = only_metrics(Arc::clone(&meter));
                doors.start(metrics.serve(own, Protocol::Api, doors.stop.clone()));
            }
            // Metrics are of all tenants, so no tenant's key reads them.
            let meter = (options.auth != AuthMode::Required).then_some(meter);
            cors::shared(router(Api { checks, hosts, meter, ..api }), pages)
        })
    }

    /// Starts the projection. When this returns, its address accepts connections.
    pub async fn project(options: Projecting, shared: &SdkConfig) -> anyhow::Result<Self> {
        let door = BoundListener::bind("--listen", options.listen).await?;
        let clients = Clients::new(shared, PROJECTOR_OPERATION);
        let tables = checks::tables(&clients.dynamodb, &options.config);
        let follower = follower(options.config, clients, shared, options.catch_up);
        let behind = checks::lag(follower.status(), Arc::new(SystemEffects));
        let works = Tasks::default();
        works.start(follower.run(works.stop.clone()));
        let checks: Arc<[Arc<dyn Check>]> = tables.into_iter().chain([behind]).collect();
        Self::start(door, works, options.drain, |meter, _| watch(checks, meter))
    }

    fn start<S: AnsweringService>(
        door: BoundListener,
        works: Tasks,
        drain: Duration,
        router: impl FnOnce(Arc<dyn MetricsSource>, &Tasks) -> S,
    ) -> anyhow::Result<Self> {
        let (counted, doors) = (Prometheus::start()?, Tasks::default());
        works.start(counted.clone().upkeep(works.stop.clone()));
        let url = format!("http://{}", door.address);
        let router = router(Arc::new(counted), &doors);
        doors.start(door.serve(router, Protocol::Api, doors.stop.clone()));
        Ok(Self { url, doors, works, drain })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Finishes the work in progress: first the requests, then the background tasks.
    pub async fn stop(self) {
        let deadline = Instant::now() + self.drain;
        self.doors.end(deadline).await;
        self.works.end(deadline.max(Instant::now() + WORKS)).await;
    }
}

fn follower(
    config: Config,
    clients: Clients,
    shared: &SdkConfig,
    catch_up: bool,
) -> StreamFollower {
    let streams = Clients::streams(shared, PROJECTOR_OPERATION);
    let stream = DynamoStream::new(clients.dynamodb.clone(), streams, &config.journal);
    let (stream, runner) = (Arc::new(stream), Deployment::new(config, clients).runner());
    let follower = StreamFollower::new(stream.clone(), stream, runner, Arc::new(SystemEffects));
    if catch_up { follower.catching_up() } else { follower }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use engine::{Engine, Fault, Tables};
    use metrics_util::debugging::DebuggingRecorder;
    use tower::ServiceExt;

    use ledger::Effects as _;
    use projections::feed::FeedRetention;

    use super::*;
    use crate::aws::clients::{retries, timeouts};
    use crate::objects::Connection;

    /// The API over an engine, with the timeouts and the attempts of AWS.
    async fn world() -> (Engine, Router) {
        world_keeping(None).await
    }

    /// The same with a feed that keeps events for so many days.
    async fn world_keeping(days: Option<u16>) -> (Engine, Router) {
        let engine = Engine::new();
        let Tables { journal, views, .. } = engine.tables_with_streams().await;
        let client = engine.config().timeout_config(timeouts(API_OPERATION));
        let clients = Clients {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(client.retry_config(retries()).build()),
            objects: Connection::local("http://127.0.0.1:1", "us-east-1", "key", "secret"),
        };
        let (bucket, tenant) = ("files".to_owned(), "main".parse().unwrap());
        let config = Config {
            journal,
            views,
            bucket,
            tenant,
            shards: 8,
            feed_retention: days.and_then(FeedRetention::of_days),
        };
        let parts = Deployment::new(config, clients);
        (engine, router(parts.api(AuthMode::None, None, Limits::default())))
    }

    #[tokio::test]
    async fn a_cursor_that_is_older_than_the_feed_is_gone() {
        let (_engine, router) = world_keeping(Some(30)).await;
        let get = async |after: &str| {
            let request =
                Request::get(format!("/events?after={after}")).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            let status = answer.status();
            let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            (status, serde_json::from_slice::<serde_json::Value>(&body).unwrap())
        };
        let (status, begun) = get("").await;
        assert_eq!((status, begun["next"].as_str()), (StatusCode::OK, Some("m30-0-0-0-0")));
        let week = SystemEffects.now().timestamp() / (7 * 24 * 60 * 60);
        for (back, cursor, expected) in [
            (0, "m30", StatusCode::OK),
            (4, "m30", StatusCode::OK),
            (6, "m30", StatusCode::GONE),
            // What the cursor was issued for counts, and what is kept now.
            (4, "m7", StatusCode::GONE),
            (6, "m90", StatusCode::GONE),
        ] {
            let place = format!("{}:0", week - back);
            let (status, answer) = get(&format!("{cursor}-{place}-{place}-{place}-{place}")).await;
            assert_eq!(status, expected, "{back} {cursor}");
            if status == StatusCode::GONE {
                assert_eq!(answer["code"], "after.expired");
            }
        }
        let (status, answer) = get("m30-0-0-0-9999:0").await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &"after.invalid".into()));
    }

    async fn create(router: &Router) -> (StatusCode, Option<String>) {
        let request = Request::post("/asset").body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let again = answer.headers().get("retry-after").map(|it| it.to_str().unwrap().to_owned());
        (answer.status(), again)
    }

    /// The commands whose units were counted, with their table's first request.
    fn counted_for(recorder: &DebuggingRecorder) -> Vec<String> {
        let all = recorder.snapshotter().snapshot().into_vec().into_iter();
        let units = all.filter(|it| it.0.key().name() == "asset_ledger_consumed_units");
        let label = |key: &metrics::Key, name: &str| {
            let found = key.labels().find(|label| label.key() == name);
            found.map(|label| label.value().to_owned()).unwrap_or_default()
        };
        let told =
            |key: &metrics::Key| format!("{} {}", label(key, "command"), label(key, "operation"));
        let mut told: Vec<_> = units.map(|(key, ..)| told(key.key())).collect();
        told.sort();
        told
    }

    #[tokio::test]
    async fn units_are_counted_by_the_command_that_they_were_consumed_for() {
        let (_engine, router) = world().await;
        let recorder = DebuggingRecorder::new();
        let _guard = metrics::set_default_local_recorder(&recorder);
        create(&router).await;
        for path in ["/asset", "/events"] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            assert_eq!(router.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
        }
        let counted = counted_for(&recorder);
        for expected in ["create PutItem", "events Query", "list Query"] {
            assert!(counted.iter().any(|it| it == expected), "{expected}: {counted:?}");
        }
        assert!(!counted.iter().any(|it| it.starts_with("other")), "{counted:?}");
    }

    /// Sends a request with the key `k`: its status, its body, and whether it is a repeat.
    async fn keyed(router: &Router, line: &str) -> (StatusCode, serde_json::Value, bool) {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path).header("idempotency-key", "k");
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, repeat) =
            (answer.status(), answer.headers().contains_key("idempotency-replayed"));
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default(), repeat)
    }

    #[tokio::test]
    async fn a_key_creates_one_asset_by_many_requests_at_once_and_after_lost_replies() {
        let (engine, router) = world().await;
        // The id is reserved, and the process dies.
        engine.fail(|asked| {
            (asked.body["Item"]["body"] != serde_json::Value::Null)
                .then_some(Fault::Refused(400, "ResourceNotFoundException"))
        });
        assert!(keyed(&router, "POST /asset").await.0.is_server_error());
        engine.heal();
        let all = (0..64).map(|_| keyed(&router, "POST /asset"));
        let all = futures::future::join_all(all).await;
        assert!(all.iter().all(|it| it.0 == 201 && it.1["id"] == all[0].1["id"]), "{all:?}");
        assert_eq!(all.iter().filter(|it| !it.2).count(), 1, "one of them created it");
    }

    #[tokio::test]
    async fn a_deletion_is_answered_again_and_a_restored_asset_stays() {
        let (_engine, router) = world().await;
        let id = keyed(&router, "POST /asset").await.1["id"].as_str().unwrap().to_owned();
        let delete = format!("DELETE /asset/{id}");
        assert_eq!(keyed(&router, &delete).await.1["code"], "idempotency.reused");
        let (_, other, _) = keyed(&router, "POST /asset?").await;
        assert_eq!(other["id"], *id, "the same request");
        let plain = async |line: &str| {
            let (method, path) = line.split_once(' ').unwrap();
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap()
        };
        let answer = plain("POST /asset").await;
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        let delete = format!("DELETE {location}");
        assert_eq!(keyed(&router, &delete).await.0, 204);
        assert_eq!(plain(&format!("POST {location}/restore")).await.status(), 200);
        let (status, _, repeat) = keyed(&router, &delete).await;
        assert_eq!((status.as_u16(), repeat), (204, true));
        assert_eq!(plain(&format!("GET {location}/state")).await.headers()["etag"], "\"3\"");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_table_is_a_503_that_says_when_to_come_again() {
        let (engine, router) = world().await;
        engine.fail(|_| Some(Fault::THROTTLED));
        let (status, again) = create(&router).await;
        assert_eq!((status, again.is_some()), (StatusCode::SERVICE_UNAVAILABLE, true));
        engine.heal();
        assert_eq!(create(&router).await.0, StatusCode::CREATED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_never_answers_is_given_up_in_time() {
        let (engine, router) = world().await;
        engine.fail(|_| Some(Fault::Hang));
        let began = Instant::now();
        assert_eq!(create(&router).await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert!(began.elapsed() <= API_OPERATION, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_table_that_is_gone_is_a_500_that_tells_strangers_nothing() {
        let (engine, router) = world().await;
        engine.fail(|_| Some(Fault::Refused(400, "ResourceNotFoundException")));
        assert_eq!(create(&router).await, (StatusCode::INTERNAL_SERVER_ERROR, None));
    }
}
