//! A whole ledger on a separate engine.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use chrono::TimeDelta;
use engine::{Engine, Tables};
use ledger::access::{AccessService, ApiKey};
use ledger::asset::{Declaration, UploadKind};
use ledger::id::{AssetId, Tenant};
use ledger::record::EventSource;
use ledger::service::{Caller, LedgerService};
use ledger::testing::{MemoryBucket, TestEffects};
use ledger::url_log::UrlLog;
use projections::feed::{FeedCursor, LanedFeed};
use projections::runner::ProjectionHint;
use projections::{CurrentGeneration, Reader, Runner, TotalsReader};
use stores::DynamoJournal;
use stores::DynamoLanes;
use stores::DynamoViews;

pub(crate) struct DynamoFixture {
    pub(crate) engine: Engine,
    pub(crate) tables: Tables,
    pub(crate) effects: Arc<TestEffects>,
    pub(crate) bucket: Arc<MemoryBucket>,
    pub(crate) views: Arc<DynamoViews>,
    pub(crate) service: LedgerService,
    pub(crate) runner: Runner,
    pub(crate) reader: Reader,
    pub(crate) totals: TotalsReader,
    pub(crate) access: AccessService,
    pub(crate) feed: LanedFeed,
    pub(crate) urls: UrlLog,
    /// A key that is accepted.
    pub(crate) key: OnceLock<ApiKey>,
    /// The cursor at the end of the feed.
    pub(crate) end: OnceLock<FeedCursor>,
}

/// With a client that never retries.
pub(crate) async fn world() -> DynamoFixture {
    let engine = Engine::new();
    let client = engine.client();
    reached_by(engine, client).await
}

/// With this client of the engine.
pub(crate) async fn reached_by(engine: Engine, client: Client) -> DynamoFixture {
    let tables = engine.tables().await.through(client);
    let journal = Arc::new(DynamoJournal::new(tables.client.clone(), &tables.journal));
    let views = Arc::new(DynamoViews::new(tables.client.clone(), &tables.views, 8));
    let (effects, bucket) = (Arc::new(TestEffects::seeded(1)), Arc::<MemoryBucket>::default());
    let service =
        LedgerService::new(journal.clone(), bucket.clone(), effects.clone(), "asset-ledger-files");
    let service = service.reserving(views.clone());
    let lanes = Arc::new(DynamoLanes::new(tables.client.clone(), &tables.views));
    let runner = Runner::new(journal.clone(), views.clone(), effects.clone());
    let feed = LanedFeed::new(lanes, journal.clone(), effects.clone());
    let hour = Duration::from_hours(1);
    let totals = TotalsReader::new(journal.clone(), views.clone(), effects.clone(), hour);
    let urls = UrlLog::new(journal.clone(), effects.clone());
    let access = AccessService::new(journal.clone(), effects.clone()).noting(views.clone());
    let reader = Reader::new(journal, Arc::new(CurrentGeneration::new(views.clone())));
    DynamoFixture {
        engine,
        tables,
        effects,
        bucket,
        views,
        service,
        runner,
        reader,
        totals,
        access,
        feed,
        urls,
        key: OnceLock::new(),
        end: OnceLock::new(),
    }
}

impl DynamoFixture {
    pub(crate) fn caller(&self) -> Caller {
        self.effects.advance(TimeDelta::seconds(1));
        let request = "0c5b3a52-6f6d-4f0e-9f52-8f7f7f0f9d00".to_owned();
        Caller {
            tenant: Tenant::default(),
            actor: "anonymous".to_owned(),
            source: EventSource::Api,
            request,
            own_only: false,
        }
    }

    pub(crate) async fn create(&self) -> AssetId {
        let created = self.service.create(&self.caller(), typical()).await;
        created.unwrap().asset().key.asset
    }

    pub(crate) async fn look(&self, asset: AssetId) {
        self.service.look(&self.caller(), asset).await.unwrap();
    }

    pub(crate) async fn confirm(&self, asset: AssetId) {
        self.service.confirm(&self.caller(), asset, None).await.unwrap();
    }

    pub(crate) async fn delete(&self, asset: AssetId) {
        self.service.delete(&self.caller(), asset, None, None).await.unwrap();
    }

    pub(crate) fn upload(&self, asset: AssetId) {
        self.bucket.put(&self.caller().key(asset), b"hello world");
    }

    /// Projects the events after `version`, like the stream.
    pub(crate) async fn project(&self, asset: AssetId, version: usize) {
        self.project_by(&self.runner, asset, version).await;
    }

    pub(crate) async fn project_by(&self, runner: &Runner, asset: AssetId, version: usize) {
        let history = self.service.history(&self.caller().key(asset)).await.unwrap().unwrap();
        drop(self.engine.take_tally());
        let key = history.asset().key.clone();
        let hints = history.entries().iter().skip(version).map(|entry| ProjectionHint {
            key: key.clone(),
            version: entry.record.version,
            lines: vec![entry.line.clone()],
        });
        let hints: Vec<_> = hints.collect();
        if !hints.is_empty() {
            assert_eq!(runner.project(&hints).await.projected, 1);
        }
    }
}

/// The usual declaration of a file.
pub(crate) fn typical() -> Declaration {
    Declaration {
        upload: UploadKind::Declared,
        filename: Some("q3 report.pdf".to_owned()),
        content_type: Some("application/pdf".to_owned()),
        size: Some(11),
        sha256: Some("b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9".to_owned()),
        tags: [("team".to_owned(), "finance".to_owned())].into(),
    }
}
