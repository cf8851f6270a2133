//! The whole service in one process on one folder: the journal and the rows in SQLite, an S3
//! endpoint, and the same router, handler and runner as on AWS.

mod folder;
mod folder_identity;
mod local_stores;
mod metrics;
mod strays;
mod write_check;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ledger::access::AccessService;
use ledger::id::Tenant;
use ledger::objects::Objects;
use ledger::service::LedgerService;
use ledger::url_log::UrlLog;
use projections::feed::ArrivalFeed;
use projections::follower::FollowerProgress;
use projections::{
    ContradictedAssets, CurrentGeneration, JournalFollower, Reader, Runner, TotalsReader,
};
use stores::SqliteJournal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::folder::FolderLock;
use self::folder_identity::FolderIdentity;
use self::local_stores::LocalStores;
pub(crate) use self::local_stores::{BUCKET, prepare};
use self::write_check::WriteCheck;
use crate::bucket::{Bucket, HandleOutcome};
use crate::checks;
use crate::cors;
use crate::http::{
    AllowedHosts, Api, AuthMode, Check, Limits, MetricsSource, RatePolicy, only_metrics, router,
};
use crate::jwt::{AuthConfig, TokenVerifier};
use crate::objects::S3Objects;
use crate::prometheus::Prometheus;
use crate::s3::{DeliveryOutcome, Receiver};
use crate::scheduled::{JobContext, SchedulePlan};
use crate::server::{BoundListener, Protocol, Tasks};
use crate::system::SystemEffects;

/// The minimum time for the delivery of notifications and the projection to end.
const CARRIERS: Duration = Duration::from_secs(6);
/// How long a stop waits for the rows of the last events. A longer backlog is left to the next
/// start.
const CATCH_UP: Duration = Duration::from_secs(1);

/// The age at which totals are summed again: a million rows take about two seconds.
const TOTALS_AGE: Duration = Duration::from_secs(10);

/// The options of the server.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// The data folder; created if it is missing.
    pub data: PathBuf,
    /// The address of the API.
    pub listen: SocketAddr,
    /// The address of the S3 endpoint.
    pub s3_listen: SocketAddr,
    /// The S3 endpoint's URL for clients, if it differs from the address.
    pub s3_url: Option<String>,
    /// Allowed web origins of both, besides those of this machine.
    pub cors_origins: Vec<String>,
    /// The public URLs of the API behind a proxy; each as [`crate::http::spelt`].
    pub public_urls: Vec<String>,
    /// Who decides which requests are served.
    pub auth: AuthMode,
    /// The rate limit of each caller.
    pub rate: Option<RatePolicy>,
    /// The issuers whose tokens are accepted, if any.
    pub issuers: Option<AuthConfig>,
    /// The address of `/metrics`, apart from the API.
    pub metrics_listen: Option<SocketAddr>,
    /// The tenant of callers without a credential.
    pub tenant: Tenant,
    /// Whether the API accepts host names other than this machine's own.
    pub any_host: bool,
    /// How long requests in progress may take at a shutdown.
    pub drain: Duration,
}

/// A running server.
pub struct LocalServer {
    api_url: String,
    s3_url: String,
    api: Tasks,
    works: Tasks,
    s3: Tasks,
    drain: Duration,
    ground: FolderIdentity,
}

impl LocalServer {
    /// Opens the folder and starts all parts. When this returns, both addresses accept connections.
    pub async fn start(options: LocalOptions) -> anyhow::Result<Self> {
        Self::start_with(options, SchedulePlan::default()).await
    }

    /// The same, with scheduled jobs.
    pub async fn start_with(options: LocalOptions, plan: SchedulePlan) -> anyhow::Result<Self> {
        let pages = cors::pages(&options.cors_origins, &options.public_urls)?;
        let folder = FolderLock::claim(&options.data)?;
        let api_door = BoundListener::bind("--listen", options.listen).await?;
        let s3_door = BoundListener::bind("--s3-listen", options.s3_listen).await?;
        let metrics_door = match options.metrics_listen {
            Some(address) => Some(BoundListener::bind("--metrics-listen", address).await?),
            None => None,
        };
        let api_url = format!("http://{}", api_door.address);
        let own_s3_url = || format!("http://{}", s3_door.address);
        let s3_url = options.s3_url.clone().unwrap_or_else(own_s3_url);

        let stores = Arc::new(LocalStores::open(folder.path()).await?);
        let bucket = stores.bucket();
        let presigner = Arc::new(stores.presigner(&s3_url));
        let contradicted = Arc::new(ContradictedAssets::new(stores.views.clone()));
        let service = service(&stores, bucket, contradicted.clone());

        let ground = FolderIdentity::new(folder, Arc::clone(&stores));
        let (api, works, s3) = (Tasks::default(), Tasks::default(), Tasks::default());
        let (follower, figures) = (follower(&stores, contradicted), Prometheus::start()?);
        let (progress, rows) = (follower.progress(), Arc::new(follower.progress()));
        let schedule = plan.schedule(&options.data, scheduled(&stores))?;
        let status = schedule.status();
        let meter = metrics::LocalMetrics {
            counted: figures.clone(),
            rows: follower.progress(),
            outbox: stores.s3.outbox(),
            scheduled: Arc::clone(&status),
        };
        works.start(ground.clone().keep_looking(works.stop.clone()));
        works.start(figures.upkeep(works.stop.clone()));
        works.start(follow(follower, works.stop.clone()));
        works.start(schedule.run(works.stop.clone()));
        works.start(deliver(Arc::clone(&stores), Arc::clone(&service), works.stop.clone()));
        let s3_router = stores.s3_router(pages.clone());
        s3.start(s3_door.serve(s3_router, Protocol::S3, s3.stop.clone()));
        let writes = Arc::new(WriteCheck::new(Arc::clone(&stores)));
        let own = [Arc::new(ground.clone()) as Arc<dyn Check>, writes, rows];
        let meter: Arc<dyn MetricsSource> = Arc::new(meter);
        let api_parts = api_parts(&stores, service, presigner, progress);
        let state = Api {
            tokens: options
                .issuers
                .map(|it| Arc::new(TokenVerifier::new(it, Arc::new(SystemEffects)))),
            auth: options.auth,
            tenant: options.tenant,
            checks: api_parts.checks.iter().cloned().chain(own).chain(status.checks()).collect(),
            limits: Limits { rate: options.rate, ..Limits::default() },
            hosts: cors::hosts(&pages, options.any_host),
            // Metrics are of all tenants, so no tenant's key reads them.
            meter: (options.auth != AuthMode::Required).then(|| Arc::clone(&meter)),
            ..api_parts
        };
        let answering = cors::shared(router(state), pages);
        if let Some(metrics) = metrics_door {
            let watched = only_metrics(meter);
            api.start(metrics.serve(watched, Protocol::Api, api.stop.clone()));
        }
        api.start(api_door.serve(answering, Protocol::Api, api.stop.clone()));
        Ok(Self { api_url, s3_url, api, works, s3, drain: options.drain, ground })
    }

    /// The address of the API.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.api_url.clone()
    }

    /// The URL of the S3 endpoint for clients.
    #[must_use]
    pub fn s3_url(&self) -> String {
        self.s3_url.clone()
    }

    /// Returns a reason as soon as the folder is not the opened one any more. Nothing is written
    /// from then on; stop the server.
    pub fn lost(&self) -> impl Future<Output = String> + use<> {
        let mut lost = self.ground.lost();
        async move {
            match lost.wait_for(Option::is_some).await {
                Ok(why) => why.clone().unwrap_or_default(),
                // The watcher has ended.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Finishes the work in progress: first the requests of both listeners, with one deadline, then
    /// the delivery of notifications and the projection. Unfinished work continues at the next
    /// start. Last, the files are closed without write-ahead logs.
    pub async fn stop(self) {
        let deadline = Instant::now() + self.drain;
        tokio::join!(self.api.end(deadline), self.s3.end(deadline));
        self.works.end(deadline.max(Instant::now() + CARRIERS)).await;
        if tokio::time::timeout(CARRIERS, self.ground.close()).await.is_err() {
            tracing::warn!("the files were not closed in time; no acknowledged write is lost");
        }
    }
}

fn service(
    stores: &LocalStores,
    objects: Arc<dyn Objects>,
    contradicted: Arc<ContradictedAssets>,
) -> Arc<LedgerService> {
    let journal = Arc::clone(&stores.journal);
    let service = LedgerService::new(journal.clone(), objects, Arc::new(SystemEffects), BUCKET);
    let service = service.noting(stores.s3.absences()).reserving(journal);
    Arc::new(service.guarded(contradicted))
}

/// The API on these stores, without options.
fn api_parts(
    stores: &LocalStores,
    service: Arc<LedgerService>,
    presigner: Arc<S3Objects>,
    progress: FollowerProgress,
) -> Api {
    let (journal, table, effects) =
        (stores.journal.clone(), stores.views.clone(), Arc::new(SystemEffects));
    let rows = Arc::new(CurrentGeneration::new(table.clone()));
    let access = AccessService::new(journal.clone(), effects.clone()).noting(journal.clone());
    let totals = TotalsReader::new(journal.clone(), table, effects.clone(), TOTALS_AGE);
    Api {
        service,
        reader: Reader::new(journal.clone(), rows.clone()).made_by(progress),
        totals: Arc::new(totals),
        feed: Arc::new(ArrivalFeed::new(journal.clone())),
        presigner,
        access: Arc::new(access),
        urls: Arc::new(UrlLog::new(journal.clone(), effects.clone())),
        tokens: None,
        iam: None,
        auth: AuthMode::None,
        tenant: Tenant::default(),
        effects,
        checks: checks::all(journal, rows, checks::bucket(stores.bucket())),
        limits: Limits::default(),
        hosts: AllowedHosts::Any,
        meter: None,
    }
}

fn scheduled(stores: &LocalStores) -> JobContext<SqliteJournal> {
    JobContext {
        journal: stores.journal.clone(),
        views: stores.views.clone(),
        positions: stores.views.clone(),
        inventory: stores.bucket(),
        bucket: BUCKET,
        effects: Arc::new(SystemEffects),
    }
}

fn follower(stores: &LocalStores, contradicted: Arc<ContradictedAssets>) -> JournalFollower {
    let (journal, views) = (stores.journal.clone(), stores.views.clone());
    let runner = Runner::new(journal.clone(), views.clone(), Arc::new(SystemEffects));
    JournalFollower::new(journal, views, runner.telling(contradicted))
}

/// Projects the arrivals of the journal, and at the end those of the last requests. It may be cut
/// off anywhere: rows and position are saved together.
async fn follow(mut follower: JournalFollower, stop: CancellationToken) {
    let (shutdown, signal) = tokio::sync::watch::channel(false);
    let stopped = async {
        stop.cancelled().await;
        shutdown.send_replace(true);
    };
    tokio::join!(follower.run(signal), stopped);
    if !matches!(tokio::time::timeout(CATCH_UP, follower.catch_up()).await, Ok(Ok(_))) {
        tracing::info!("the rows were not brought up to date with the journal before the stop");
    }
}

/// Delivers the notifications of the S3 endpoint to the handler.
async fn deliver(stores: Arc<LocalStores>, service: Arc<LedgerService>, stop: CancellationToken) {
    let handler = Arc::new(OutboxReceiver(Bucket::new(service)));
    stores.s3.outbox().deliver(handler, Arc::new(SystemEffects), stop).await;
}

/// The handler of notifications as a receiver of the local outbox.
struct OutboxReceiver(Bucket);

#[async_trait]
impl Receiver for OutboxReceiver {
    async fn receive(&self, event: &str) -> DeliveryOutcome {
        let later = self.0.receive(event).await.into_iter().find_map(|handled| match handled {
            HandleOutcome::Later(why) => Some(why),
            HandleOutcome::Looked(_) | HandleOutcome::Dropped(_) => None,
        });
        later.map_or(DeliveryOutcome::Done, |why| DeliveryOutcome::Later(format!("{why:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::testing::MemoryJournal;
    use projections::testing::MemoryViews;
    use projections::testing::following::{append_mixed, assert_rows, follower, stories};

    /// A command that is acknowledged just before a stop has its row after it: `verify` on the
    /// stopped folder finds no row that lags.
    #[tokio::test]
    async fn a_stop_projects_what_has_arrived() {
        let (journal, views) = (Arc::<MemoryJournal>::default(), Arc::<MemoryViews>::default());
        let (stories, stop) = (stories(3), CancellationToken::new());
        append_mixed(&*journal, &stories).await;
        stop.cancel();
        follow(follower(&journal, &views), stop).await;
        assert_rows(&*views, &stories).await;
    }
}
