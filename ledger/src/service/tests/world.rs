//! A ledger in memory, with injected faults.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;

use super::super::*;
use crate::asset::{AssetStatus, Declaration, Event};
use crate::chain::Hash;
use crate::id::PartitionKey;
use crate::journal::{Appended, JournalDecorator};
use crate::objects::CurrentObject;
use crate::record::EventSource;
use crate::testing::{MemoryBucket, MemoryJournal, TestEffects};

/// The fault of one append.
pub(super) enum Mishap {
    /// Another writer does this first.
    Before(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The append takes effect, its reply is lost, and the client library sends it again.
    SentTwice,
    /// The append takes effect, and its reply is lost permanently.
    ReplyLost,
    /// The append never takes effect, and fails.
    NotSent,
}

/// A journal with injected faults.
#[derive(Default)]
struct Road {
    journal: Arc<MemoryJournal>,
    mishaps: Mutex<VecDeque<Mishap>>,
}

impl JournalDecorator for Road {
    type Inner = MemoryJournal;

    fn inner(&self) -> &MemoryJournal {
        &self.journal
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        let mishap = self.mishaps.lock().unwrap().pop_front();
        match mishap {
            None => {}
            Some(Mishap::Before(other)) => other.await,
            Some(Mishap::SentTwice) => drop(self.journal.append_to(partition, line.clone()).await?),
            Some(Mishap::NotSent) => {
                return Err(StoreError::new(StoreErrorKind::Unavailable, "nothing was sent"));
            }
            Some(Mishap::ReplyLost) => {
                self.journal.append_to(partition, line).await?;
                return Err(StoreError::new(StoreErrorKind::Unavailable, "the reply was lost"));
            }
        }
        self.journal.append_to(partition, line).await
    }
}

type Meanwhile = Box<dyn FnOnce(&MemoryBucket) + Send>;

/// A bucket that can be unavailable, and that others change meanwhile.
#[derive(Default)]
pub(super) struct ScriptedBucket {
    pub(super) inner: MemoryBucket,
    away: AtomicBool,
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl ScriptedBucket {
    fn there(&self) -> Result<&MemoryBucket, StoreError> {
        let away = self.away.load(Ordering::Relaxed);
        let error = || StoreError::new(StoreErrorKind::Unavailable, "the bucket is away");
        if away { Err(error()) } else { Ok(&self.inner) }
    }

    fn others_act(&self) {
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
            meanwhile(&self.inner);
        }
    }
}

#[async_trait]
impl Objects for ScriptedBucket {
    async fn current(&self, key: &Key) -> Result<CurrentObject, StoreError> {
        let current = self.there()?.current(key).await;
        self.others_act();
        current
    }

    async fn exists(&self, key: &Key, version_id: &str) -> Result<bool, StoreError> {
        self.there()?.exists(key, version_id).await
    }

    async fn versions(&self, key: &Key) -> Result<Vec<String>, StoreError> {
        let versions = self.there()?.versions(key).await;
        self.others_act();
        versions
    }

    async fn delete(&self, key: &Key, version_id: &str) -> Result<(), StoreError> {
        self.there()?.delete(key, version_id).await
    }
}

pub(super) struct ServiceFixture {
    pub(super) service: LedgerService,
    pub(super) bucket: Arc<ScriptedBucket>,
    pub(super) effects: Arc<TestEffects>,
    road: Arc<Road>,
    others: AtomicU64,
}

pub(super) fn caller() -> Caller {
    caller_by(EventSource::Api)
}

pub(super) fn caller_by(source: EventSource) -> Caller {
    Caller {
        tenant: Tenant::default(),
        actor: "anonymous".into(),
        source,
        request: "request".into(),
        own_only: false,
    }
}

/// The events, by their stored names.
pub(super) fn kinds(history: &History) -> Vec<&'static str> {
    history.entries().iter().map(|entry| entry.record.event.kind()).collect()
}

impl ServiceFixture {
    pub(super) fn new() -> Self {
        let road = Arc::new(Road::default());
        let bucket = Arc::new(ScriptedBucket::default());
        let effects = Arc::new(TestEffects::seeded(1));
        let service = service(road.clone(), bucket.clone(), effects.clone());
        Self { service, bucket, effects, road, others: AtomicU64::new(2) }
    }

    /// Another process over the same stores, without faults.
    pub(super) fn another_service(&self) -> Arc<LedgerService> {
        let seed = self.others.fetch_add(1, Ordering::Relaxed);
        let effects = Arc::new(TestEffects::seeded(seed));
        Arc::new(service(self.road.journal.clone(), self.bucket.clone(), effects))
    }

    /// Adds a fault for one of the next appends.
    pub(super) fn mishap(&self, mishap: Mishap) {
        self.road.mishaps.lock().unwrap().push_back(mishap);
    }

    /// Runs `other` just before the next append that has no fault yet.
    pub(super) fn before_append(&self, other: impl Future<Output = ()> + Send + 'static) {
        self.mishap(Mishap::Before(Box::pin(other)));
    }

    /// Changes the bucket after the next observation of it, and before any further step.
    pub(super) fn amid_look(&self, meanwhile: impl FnOnce(&MemoryBucket) + Send + 'static) {
        *self.bucket.meanwhile.lock().unwrap() = Some(Box::new(meanwhile));
    }

    pub(super) fn bucket_away(&self, away: bool) {
        self.bucket.away.store(away, Ordering::Relaxed);
    }

    #[allow(clippy::unused_self, reason = "keys are asked of the world, as all else is")]
    pub(super) fn key(&self, asset: AssetId) -> Key {
        caller().key(asset)
    }

    pub(super) fn put(&self, asset: AssetId) -> String {
        self.bucket.inner.put(&self.key(asset), b"bytes")
    }

    pub(super) fn mark_deleted(&self, asset: AssetId) -> String {
        self.bucket.inner.mark_deleted(&self.key(asset))
    }

    pub(super) fn remove(&self, asset: AssetId, version_id: &str) {
        assert!(self.bucket.inner.remove(&self.key(asset), version_id));
    }

    pub(super) fn versions(&self, asset: AssetId) -> Vec<String> {
        self.bucket.inner.ids(&self.key(asset))
    }

    pub(super) async fn created(&self) -> AssetId {
        let history = self.service.create(&caller(), Declaration::plain()).await.unwrap();
        history.asset().key.asset
    }

    /// An asset that was created at a given time, as by an import.
    pub(super) async fn created_at(&self, asset: AssetId, at: chrono::DateTime<chrono::Utc>) {
        let (key, event) = (self.key(asset), Event::Created(Declaration::plain()));
        let cause = caller().cause(CommandId::fresh(1));
        let record = EventRecord { key, version: 1, event, cause, at, prev: Hash::ZERO };
        let line = record.line().unwrap();
        self.road.journal.append(&record.key, line).await.unwrap();
    }

    /// Appends a line of another writer.
    pub(super) async fn append(&self, key: &Key, line: StoredLine) -> Appended {
        self.road.journal.append(key, line).await.unwrap()
    }

    pub(super) async fn received(&self) -> AssetId {
        let asset = self.created().await;
        self.put(asset);
        self.look(asset).await;
        asset
    }

    pub(super) async fn uploaded(&self) -> AssetId {
        let asset = self.received().await;
        self.service.confirm(&caller(), asset, None).await.unwrap();
        asset
    }

    pub(super) async fn deleted(&self) -> AssetId {
        let asset = self.uploaded().await;
        self.service.delete(&caller(), asset, None, None).await.unwrap();
        asset
    }

    /// An asset whose purge was requested while the bucket was unavailable.
    pub(super) async fn purging(&self) -> AssetId {
        let asset = self.deleted().await;
        self.bucket_away(true);
        self.service.purge(&caller(), asset, None).await.unwrap_err();
        self.bucket_away(false);
        asset
    }

    pub(super) async fn purged(&self) -> AssetId {
        let asset = self.deleted().await;
        self.service.purge(&caller(), asset, None).await.unwrap();
        asset
    }

    pub(super) async fn look(&self, asset: AssetId) -> Reconciled {
        self.service.look(&caller_by(EventSource::S3), asset).await.unwrap()
    }

    /// Reconciles because S3 reports that this version was removed.
    pub(super) async fn look_for_removed(&self, asset: AssetId, version_id: &str) -> Reconciled {
        let caller = caller_by(EventSource::S3);
        self.service.look_for_removed(&caller, asset, version_id).await.unwrap()
    }

    /// Hides the pinned version for a while, like a bucket that is being restored.
    pub(super) async fn hide(&self, asset: AssetId) -> String {
        let pin = self.history(asset).await.asset().pin.clone().unwrap().version_id;
        self.bucket.inner.hide(&pin);
        pin
    }

    pub(super) async fn history(&self, asset: AssetId) -> History {
        self.service.history(&self.key(asset)).await.unwrap().unwrap()
    }

    pub(super) async fn kinds(&self, asset: AssetId) -> Vec<&'static str> {
        kinds(&self.history(asset).await)
    }

    /// The last event.
    pub(super) async fn last(&self, asset: AssetId) -> &'static str {
        self.kinds(asset).await.pop().unwrap()
    }

    pub(super) async fn status(&self, asset: AssetId) -> AssetStatus {
        self.history(asset).await.asset().status()
    }
}

fn service(
    journal: Arc<dyn Journal>,
    bucket: Arc<ScriptedBucket>,
    effects: Arc<TestEffects>,
) -> LedgerService {
    LedgerService::new(journal, bucket, effects, "files")
}
