//! The parts of a deployment, each behind its port: the adapters of AWS.

use std::sync::Arc;
use std::time::Duration;

use ledger::access::AccessService;
use ledger::journal::Journal;
use ledger::service::LedgerService;
use ledger::url_log::UrlLog;
use projections::feed::{LanedFeed, Lanes};
use projections::{ContradictedAssets, CurrentGeneration, Reader, Runner, TotalsReader, Views};
use stores::DynamoJournal;
use stores::DynamoLanes;
use stores::DynamoViews;

use super::{Clients, Config};
use crate::checks;
use crate::http::{AllowedHosts, Api, AuthMode, Limits};
use crate::jwt::{AuthConfig, TokenVerifier};
use crate::objects::S3Objects;
use crate::system::SystemEffects;

/// The age at which totals are summed again. A sum reads all rows of a tenant.
const TOTALS_AGE: Duration = Duration::from_hours(1);

/// The parts of a deployment.
#[derive(Clone)]
pub struct Deployment {
    /// The configuration.
    pub config: Config,
    /// The events.
    pub journal: Arc<dyn Journal>,
    /// The current rows.
    pub views: Arc<dyn Views>,
    /// The rows of every generation; also the notes about missing versions, the reservations for
    /// idempotency keys and the last uses of keys.
    pub generations: Arc<DynamoViews>,
    /// The lanes of the feed.
    pub lanes: Arc<dyn Lanes>,
    /// The files.
    pub objects: Arc<S3Objects>,
}

impl Deployment {
    /// The parts of `config`, through `clients`.
    #[must_use]
    pub fn new(config: Config, clients: Clients) -> Self {
        let Clients { dynamodb, objects } = clients;
        let journal = Arc::new(DynamoJournal::new(dynamodb.clone(), &config.journal));
        let lanes = DynamoLanes::new(dynamodb.clone(), &config.views);
        let lanes = Arc::new(lanes.keeping(config.feed_retention));
        let generations = DynamoViews::new(dynamodb, &config.views, config.shards);
        let generations = Arc::new(generations.keeping_feed(config.feed_retention));
        let views = Arc::new(CurrentGeneration::new(generations.clone()));
        let objects = Arc::new(S3Objects::new(objects, &config.bucket, Arc::new(SystemEffects)));
        Self { config, journal, views, generations, lanes, objects }
    }

    /// The commands.
    #[must_use]
    pub fn service(&self) -> Arc<LedgerService> {
        let (journal, objects) = (self.journal.clone(), self.objects.clone());
        let bucket = &self.config.bucket;
        let service = LedgerService::new(journal, objects, Arc::new(SystemEffects), bucket);
        let contradicted = Arc::new(ContradictedAssets::new(self.generations.clone()));
        let service = service.noting(self.generations.clone()).reserving(self.generations.clone());
        Arc::new(service.guarded(contradicted))
    }

    /// The API, under any host name and without `/metrics`.
    #[must_use]
    pub fn api(&self, auth: AuthMode, issuers: Option<AuthConfig>, limits: Limits) -> Api {
        let (journal, table, effects) =
            (self.journal.clone(), self.generations.clone(), Arc::new(SystemEffects));
        let access = AccessService::new(journal.clone(), effects.clone()).noting(table.clone());
        let bucket = checks::versioning(self.objects.clone());
        let totals = TotalsReader::new(journal.clone(), table, effects.clone(), TOTALS_AGE);
        Api {
            service: self.service(),
            reader: Reader::new(journal.clone(), self.views.clone()),
            totals: Arc::new(totals),
            feed: Arc::new(LanedFeed::new(self.lanes.clone(), journal.clone(), effects.clone())),
            presigner: self.objects.clone(),
            access: Arc::new(access),
            urls: Arc::new(UrlLog::new(journal.clone(), effects.clone())),
            tokens: issuers.map(|it| Arc::new(TokenVerifier::new(it, effects.clone()))),
            iam: None,
            auth,
            tenant: self.config.tenant.clone(),
            checks: checks::all(journal, self.views.clone(), bucket),
            effects,
            limits,
            hosts: AllowedHosts::Any,
            meter: None,
        }
    }

    /// The writer of rows and feed.
    #[must_use]
    pub fn runner(&self) -> Runner {
        let (journal, generations) = (self.journal.clone(), self.generations.clone());
        Runner::new(journal, generations, Arc::new(SystemEffects))
    }
}
