//! The findings about an asset's files, and the results of reconciling.

use ledger::asset::Declaration;
use ledger::id::{AssetId, Tenant};
use ledger::testing::{MemoryBucket, MemoryJournal, TestEffects};
use tokio::sync::mpsc;

use super::*;

struct World {
    files: ObjectAudit,
    bucket: Arc<MemoryBucket>,
    journal: Arc<MemoryJournal>,
}

fn service(journal: &Arc<MemoryJournal>, bucket: &Arc<MemoryBucket>, seed: u64) -> LedgerService {
    let effects = Arc::new(TestEffects::seeded(seed));
    LedgerService::new(journal.clone(), bucket.clone(), effects, "files")
}

fn world() -> World {
    let (journal, bucket) = (Arc::<MemoryJournal>::default(), Arc::<MemoryBucket>::default());
    let files = ObjectAudit {
        service: service(&journal, &bucket, 1),
        depth: ObjectAuditDepth::Deep,
        patience: Duration::from_secs(5),
        ..ObjectAudit::new(
            journal.clone(),
            bucket.clone(),
            Arc::new(TestEffects::seeded(1)),
            "files",
        )
    };
    World { files, bucket, journal }
}

fn caller() -> Caller {
    Caller {
        tenant: Tenant::default(),
        actor: "anonymous".into(),
        source: EventSource::Api,
        request: "r".into(),
        own_only: false,
    }
}

impl World {
    async fn create(&self) -> Key {
        let created = self.files.service.create(&caller(), Declaration::plain()).await.unwrap();
        created.asset().key.clone()
    }

    async fn look(&self, asset: AssetId) {
        self.files.service.look(&caller(), asset).await.unwrap();
    }

    /// An asset whose upload is recorded and confirmed.
    async fn upload(&self) -> Key {
        let key = self.create().await;
        self.bucket.put(&key, b"bytes");
        self.files.service.confirm(&caller(), key.asset, None).await.unwrap();
        key
    }

    async fn found(&self) -> Vec<(&'static str, Option<String>)> {
        let (findings, mut heard) = mpsc::channel(64);
        self.files.run(&findings).await.unwrap();
        drop(findings);
        let mut all = Vec::new();
        while let Some(finding) = heard.recv().await {
            all.push((finding.kind.name(), finding.repair));
        }
        all
    }

    async fn names(&self) -> Vec<&'static str> {
        self.found().await.into_iter().map(|(name, _)| name).collect()
    }

    async fn version(&self, key: &Key) -> u64 {
        let history = self.files.service.history(key).await.unwrap().unwrap();
        history.asset().version
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_says_and_the_bucket_shows_is_no_finding() {
    let world = world();
    world.create().await;
    let uploaded = world.upload().await;
    // Any version may cover the pinned one of a confirmed asset: the pin is frozen.
    world.bucket.put(&uploaded, b"other bytes");
    let restored = world.upload().await;
    world.bucket.mark_deleted(&restored);
    world.look(restored.asset).await;
    // The marker that is still there was recorded, and undone.
    world.files.service.restore(&caller(), restored.asset, None).await.unwrap();
    let purged = world.upload().await;
    world.files.service.delete(&caller(), purged.asset, None, None).await.unwrap();
    world.files.service.purge(&caller(), purged.asset, None).await.unwrap();
    assert_eq!(world.names().await, [""; 0]);
    assert_eq!(world.files.looked(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_notification_that_was_lost_is_found_and_made_up_for() {
    let mut world = world();
    let (received, marked) = (world.create().await, world.upload().await);
    world.bucket.put(&received, b"bytes");
    world.bucket.mark_deleted(&marked);
    assert_eq!(world.names().await, ["object-unrecorded", "object-unrecorded"]);
    assert_eq!((world.version(&received).await, world.version(&marked).await), (1, 3));
    world.files.repair = true;
    let looked = || Some("looked at it: 1 event recorded".to_owned());
    let both = [("object-unrecorded", looked()), ("object-unrecorded", looked())];
    assert_eq!(world.found().await, both);
    assert_eq!((world.version(&received).await, world.version(&marked).await), (2, 4));
    assert_eq!(world.names().await, [""; 0]);
    let history = world.files.service.history(&received).await.unwrap().unwrap();
    assert_eq!(history.entries()[1].record.cause.source, EventSource::Reconcile);
}

#[tokio::test(start_paused = true)]
async fn a_notification_that_is_on_its_way_has_time_to_come() {
    let world = world();
    let key = world.create().await;
    world.bucket.put(&key, b"bytes");
    let handler = service(&world.journal, &world.bucket, 2);
    let late = async {
        sleep(Duration::from_secs(2)).await;
        handler.look(&caller(), key.asset).await.unwrap();
    };
    let (names, ()) = tokio::join!(world.names(), late);
    assert_eq!(names, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_gone_are_recorded_only_on_demand() {
    let mut world = world();
    let key = world.upload().await;
    let id = world.bucket.ids(&key).remove(0);
    assert!(world.bucket.remove(&key, &id));
    world.files.repair = true;
    let (name, repair) = world.found().await.remove(0);
    assert_eq!((name, world.version(&key).await), ("object-missing", 3));
    assert!(repair.unwrap().contains("--accept-missing"));
    world.files.accept_missing = true;
    world.found().await;
    assert_eq!((world.names().await, world.version(&key).await), (vec![], 4));
}

#[tokio::test(start_paused = true)]
async fn what_should_be_gone_and_what_nobody_announced_is_found() {
    let mut world = world();
    let purged = world.upload().await;
    world.files.service.delete(&caller(), purged.asset, None, None).await.unwrap();
    world.files.service.purge(&caller(), purged.asset, None).await.unwrap();
    world.bucket.put(&purged, b"again");
    let nobodys = Key { asset: AssetId::new(chrono::DateTime::UNIX_EPOCH, 9), ..purged.clone() };
    world.bucket.put(&nobodys, b"stray");
    assert_eq!(world.names().await, ["object-present", "object-stray"]);
    world.files.repair = true;
    world.found().await;
    assert_eq!(world.bucket.ids(&nobodys).len(), 1, "nobody knows what that is");
    assert_eq!(world.names().await, ["object-stray"]);
}
