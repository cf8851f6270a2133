//! The parts of a deployment, each behind its port: the adapters of AWS.

use std::sync::Arc;
use std::time::Duration;

use ledger::absences::Absences;
use ledger::access::AccessService;
use ledger::journal::Journal;
use ledger::key_uses::KeyUses;
use ledger::reservations::Reservations;
use ledger::service::LedgerService;
use ledger::url_log::UrlLog;
use projections::feed::{LanedFeed, Lanes};
use projections::{
    ContradictedAssets, CurrentGeneration, Feed, Generations, Reader, Runner, TotalsReader, Views,
};
use stores::DynamoJournal;
use stores::DynamoLanes;
use stores::DynamoViews;

use super::{Clients, Config};
use crate::objects::S3Objects;
use crate::system::SystemEffects;

/// The age at which totals are summed again.
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
    /// The rows of every generation.
    pub generations: Arc<dyn Generations>,
    /// The notes about missing versions.
    pub absences: Arc<dyn Absences>,
    /// The reservations for idempotency keys.
    pub reservations: Arc<dyn Reservations>,
    /// The last uses of keys.
    pub key_uses: Arc<dyn KeyUses>,
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
        let (absences, reservations) = (generations.clone(), generations.clone());
        let key_uses = generations.clone();
        let views = Arc::new(CurrentGeneration::new(generations.clone()));
        let objects = Arc::new(S3Objects::new(objects, &config.bucket, Arc::new(SystemEffects)));
        Self {
            config,
            journal,
            views,
            generations,
            absences,
            reservations,
            key_uses,
            lanes,
            objects,
        }
    }

    /// The commands.
    #[must_use]
    pub fn service(&self) -> Arc<LedgerService> {
        let (journal, objects) = (self.journal.clone(), self.objects.clone());
        let bucket = &self.config.bucket;
        let service = LedgerService::new(journal, objects, Arc::new(SystemEffects), bucket);
        let contradicted = Arc::new(ContradictedAssets::new(self.generations.clone()));
        let service = service.noting(self.absences.clone()).reserving(self.reservations.clone());
        Arc::new(service.guarded(contradicted))
    }

    /// The keys and limits of tenants.
    #[must_use]
    pub fn access(&self) -> Arc<AccessService> {
        let access = AccessService::new(self.journal.clone(), Arc::new(SystemEffects));
        Arc::new(access.noting(self.key_uses.clone()))
    }

    /// The access logs of tenants.
    #[must_use]
    pub fn urls(&self) -> Arc<UrlLog> {
        Arc::new(UrlLog::new(self.journal.clone(), Arc::new(SystemEffects)))
    }

    /// The reads.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(self.journal.clone(), self.views.clone())
    }

    /// The totals of tenants. A sum reads all rows of a tenant, so it is repeated seldom.
    #[must_use]
    pub fn totals(&self) -> Arc<TotalsReader> {
        let (journal, table) = (self.journal.clone(), self.generations.clone());
        let reader = TotalsReader::new(journal, table, Arc::new(SystemEffects), TOTALS_AGE);
        Arc::new(reader)
    }

    /// The feed.
    #[must_use]
    pub fn feed(&self) -> Arc<dyn Feed> {
        let (lanes, journal) = (self.lanes.clone(), self.journal.clone());
        Arc::new(LanedFeed::new(lanes, journal, Arc::new(SystemEffects)))
    }

    /// The writer of rows and feed.
    #[must_use]
    pub fn runner(&self) -> Runner {
        let (journal, generations) = (self.journal.clone(), self.generations.clone());
        Runner::new(journal, generations, Arc::new(SystemEffects))
    }
}
