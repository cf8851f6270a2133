//! The invariants under any clients, S3 and forgers.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use chrono::DateTime;
use ledger::asset::{
    Asset, Command, Declaration, Event, ObservedObject, PinnedVersion, Reason, UploadKind, decide,
};
use ledger::chain::Hash;
use ledger::error::StoreError;
use ledger::history::History;
use ledger::id::{AssetId, Key, PartitionKey, Tenant};
use ledger::journal::{Appended, Journal, JournalDecorator};
use ledger::objects::{CurrentObject, ObjectVersion};
use ledger::record::{Cause, CommandId, EventRecord, EventSource, StoredLine};
use ledger::service::{Caller, LedgerService, Refusal};
use ledger::testing::{MemoryBucket, MemoryJournal, TestEffects};
use proptest::prelude::*;
use stores::SqliteJournal;
use stores::sqlite::OpenMode;
use tempfile::TempDir;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/events");

/// The possible actions on an asset.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Put,
    Mark,
    Remove(usize),
    Look,
    Confirm,
    Delete,
    Restore,
    Purge,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        3 => Just(Deed::Put),
        1 => Just(Deed::Mark),
        1 => (0..4_usize).prop_map(Deed::Remove),
        3 => Just(Deed::Look),
        2 => Just(Deed::Confirm),
        2 => Just(Deed::Delete),
        2 => Just(Deed::Restore),
        1 => Just(Deed::Purge),
    ];
    prop::collection::vec(deed, 0..40)
}

/// A journal that gets some appends twice, as from a client that lost a reply.
struct Twice {
    journal: MemoryJournal,
    which: u64,
    appends: AtomicU64,
}

impl JournalDecorator for Twice {
    type Inner = MemoryJournal;

    fn inner(&self) -> &MemoryJournal {
        &self.journal
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        let append = self.appends.fetch_add(1, Ordering::Relaxed);
        if self.which >> (append % 64) & 1 == 1 {
            self.journal.append_to(partition, line.clone()).await?;
        }
        self.journal.append_to(partition, line).await
    }
}

/// One asset, and its objects.
struct World {
    service: LedgerService,
    bucket: Arc<MemoryBucket>,
    asset: AssetId,
}

fn caller(request: &str) -> Caller {
    Caller {
        tenant: Tenant::default(),
        actor: "anonymous".into(),
        source: EventSource::Api,
        request: request.into(),
        own_only: false,
    }
}

impl World {
    async fn new(which: u64) -> Self {
        let journal = Twice { journal: MemoryJournal::default(), which, appends: 0.into() };
        let bucket = Arc::<MemoryBucket>::default();
        let service = service(Arc::new(journal), &bucket, 1);
        let created = service.create(&caller("r"), Declaration::plain()).await.unwrap();
        let asset = created.asset().key.asset;
        Self { service, bucket, asset }
    }

    async fn run(&self, deed: Deed) {
        let (asset, caller) = (self.asset, caller("r"));
        let key = caller.key(asset);
        let outcome = match deed {
            Deed::Put => return drop(self.bucket.put(&key, b"bytes")),
            Deed::Mark => return drop(self.bucket.mark_deleted(&key)),
            Deed::Remove(nth) => {
                let ids = self.bucket.ids(&key);
                assert!(ids.get(nth).is_none_or(|id| self.bucket.remove(&key, id)));
                return;
            }
            Deed::Look => self.service.look(&caller, asset).await.map(drop),
            Deed::Confirm => self.service.confirm(&caller, asset, None).await.map(drop),
            Deed::Delete => self.service.delete(&caller, asset, None, None).await.map(drop),
            Deed::Restore => self.service.restore(&caller, asset, None).await.map(drop),
            Deed::Purge => self.service.purge(&caller, asset, None).await.map(drop),
        };
        assert!(matches!(outcome, Ok(()) | Err(Refusal::Rejected(_))), "{outcome:?}");
    }

    async fn history(&self) -> History {
        self.service.history(&caller("r").key(self.asset)).await.unwrap().unwrap()
    }
}

fn service(journal: Arc<dyn Journal>, bucket: &Arc<MemoryBucket>, seed: u64) -> LedgerService {
    let effects = Arc::new(TestEffects::seeded(seed));
    LedgerService::new(journal, bucket.clone(), effects, "files")
}

fn run<T>(doing: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build().unwrap().block_on(doing)
}

fn events(history: &History) -> Vec<Event> {
    history.entries().iter().map(|entry| entry.record.event.clone()).collect()
}

/// Verifies an exported history without this program's code.
fn assert_whole(history: &History) {
    let mut prev = "0".repeat(64);
    for (version, entry) in (1_u64..).zip(history.entries()) {
        let json: serde_json::Value = serde_json::from_str(&entry.line.body).unwrap();
        assert_eq!((&json["version"], &json["prev"]), (&version.into(), &prev.into()));
        prev = Hash::of(entry.line.body.as_bytes()).to_string();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_history_is_whole(deeds in deeds()) {
        run(async {
            let world = World::new(0).await;
            for deed in deeds {
                world.run(deed).await;
                assert_whole(&world.history().await);
            }
        });
    }

    #[test]
    fn whatever_is_sent_twice_happens_once(deeds in deeds(), which: u64) {
        let history = |which| run(async {
            let world = World::new(which).await;
            for deed in &deeds {
                world.run(*deed).await;
            }
            events(&world.history().await)
        });
        prop_assert_eq!(history(which), history(0));
    }

    #[test]
    fn whatever_is_asked_for_again_appends_nothing(deeds in deeds()) {
        run(async {
            let world = World::new(0).await;
            for deed in deeds {
                world.run(deed).await;
                let version = world.history().await.asset().version;
                if !matches!(deed, Deed::Put | Deed::Mark | Deed::Remove(_)) {
                    world.run(deed).await;
                }
                assert_eq!(world.history().await.asset().version, version, "{deed:?} again");
            }
        });
    }

    #[test]
    fn whatever_is_decided_is_not_decided_again(
        events in prop::collection::vec(event(), 0..6),
        command in command(),
    ) {
        let mut asset = made_of(events);
        if let Ok(Some(event)) = decide(&asset, &command) {
            let record = record(asset.version + 1, event);
            asset.apply(&record, Hash::ZERO).unwrap();
            prop_assert!(!matches!(decide(&asset, &command), Ok(Some(_))), "{:?}", asset);
        }
    }

    #[test]
    fn whatever_is_recorded_is_read_back(record in any_record()) {
        let line = record.line().unwrap();
        prop_assert!(!line.body.contains(['\n', '\r']), "one line");
        let read = EventRecord::read(&line.body).unwrap();
        prop_assert_eq!(read.line().unwrap(), line);
        prop_assert_eq!(read, record);
    }

    #[test]
    fn whatever_the_bytes_are_reading_them_does_not_panic(text: String, cut in 0..500_usize) {
        let _ = EventRecord::read(&text);
        let sample = include_str!("../../migrations/events/created.v1.json");
        let cut = sample.floor_char_boundary(cut);
        let _ = EventRecord::read(&format!("{}{text}{}", &sample[..cut], &sample[cut..]));
    }
}

/// The possible events after an asset's creation, in any order that the fold accepts.
fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        version().prop_map(Event::Received),
        Just(Event::Uploaded),
        Just(Event::SoftDeleted { reason: None }),
        Just(Event::Restored),
        Just(Event::PurgeRequested),
        Just(Event::Purged),
    ]
}

fn version() -> impl Strategy<Value = ObjectVersion> {
    (0..3_u8).prop_map(|nth| ObjectVersion {
        version_id: format!("v{nth}"),
        size: 1,
        sha256: None,
        etag: "e".into(),
    })
}

fn command() -> impl Strategy<Value = Command> {
    let current = prop_oneof![
        Just(CurrentObject::Absent),
        Just(CurrentObject::DeleteMarker { version_id: "m".into() }),
        version().prop_map(CurrentObject::Object),
    ];
    prop_oneof![
        current.prop_map(|current| Command::Observe(ObservedObject::Key {
            current,
            pin: PinnedVersion::There
        })),
        Just(Command::Observe(ObservedObject::Key {
            current: CurrentObject::Absent,
            pin: PinnedVersion::Gone
        })),
        Just(Command::Observe(ObservedObject::Key {
            current: CurrentObject::Absent,
            pin: PinnedVersion::Missing
        })),
        (0..2_usize).prop_map(|left| Command::Observe(ObservedObject::Swept { left })),
        Just(Command::Confirm),
        Just(Command::Delete(Reason::new("why".into()).ok())),
        any::<bool>().prop_map(|pin_exists| Command::Restore { pin_exists }),
        Just(Command::Purge),
    ]
}

fn made_of(events: Vec<Event>) -> Asset {
    let first = record(1, Event::Created(Declaration::plain()));
    let mut asset = Asset::begin(first.key.clone(), &first, Hash::ZERO).unwrap();
    for event in events {
        // Refused events are skipped.
        let _ = asset.apply(&record(asset.version + 1, event), Hash::ZERO);
    }
    asset
}

fn record(version: u64, event: Event) -> EventRecord {
    let at = DateTime::from_timestamp_micros(i64::try_from(version).unwrap()).unwrap();
    let key = Key { tenant: "main".parse().unwrap(), asset: AssetId::new(at, 1) };
    let (actor, request) = ("anonymous".into(), "r".into());
    let command = CommandId::fresh(u128::from(version));
    let cause = Cause { actor, source: EventSource::Api, request, command };
    EventRecord { key, version, event, cause, at, prev: Hash::ZERO }
}

/// Any text in every field that holds text: limits are checked at the inputs.
fn any_record() -> impl Strategy<Value = EventRecord> {
    let texts = prop::collection::vec(prop_oneof![any::<String>(), "[\\x00-\\x1f\"\\\\/]*"], 6);
    let micros = 0..253_402_300_799_999_999_i64; // up to the end of the year 9999
    (any_event(), texts, micros, any::<[u64; 3]>()).prop_map(|(event, texts, micros, numbers)| {
        let at = DateTime::from_timestamp_micros(micros).unwrap();
        let asset = AssetId::new(DateTime::UNIX_EPOCH, numbers[0].into());
        let key = Key { tenant: "a-tenant-9".parse().unwrap(), asset };
        let source = [EventSource::Api, EventSource::S3, EventSource::Cli, EventSource::Reconcile];
        let source = source[usize::try_from(numbers[1] % 4).unwrap()];
        let command = CommandId::of_sight(&texts[0], &key, &texts[1], &texts[2], Some(&texts[3]));
        let cause = Cause { actor: texts[4].clone(), source, request: texts[5].clone(), command };
        let prev = Hash::of(texts[0].as_bytes());
        EventRecord { key, version: numbers[2], event, cause, at, prev }
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let text = any::<String>;
    let maybe = || prop::option::of(any::<String>());
    let tags = prop::collection::btree_map(text(), text(), 0..4);
    prop_oneof![
        1 => (any::<bool>(), maybe(), maybe(), any::<Option<u64>>(), maybe(), tags)
            .prop_map(declared),
        1 => (text(), any::<u64>(), maybe(), text()).prop_map(|(version_id, size, sha256, etag)| {
            Event::Received(ObjectVersion { version_id, size, sha256, etag })
        }),
        1 => maybe().prop_map(|reason| Event::SoftDeleted { reason }),
        4 => prop::sample::select(samples()),
    ]
}

/// An event of every form: those of the frozen samples.
fn samples() -> Vec<Event> {
    let files = fs::read_dir(SAMPLES).unwrap().map(|file| file.unwrap().path());
    let lines = files.map(|file| fs::read_to_string(file).unwrap());
    let events: Vec<_> = lines.map(|line| EventRecord::read(&line).unwrap().event).collect();
    for kind in Event::KINDS {
        assert!(events.iter().any(|event| event.kind() == kind), "{kind} has no sample");
    }
    events
}

type Fields =
    (bool, Option<String>, Option<String>, Option<u64>, Option<String>, BTreeMap<String, String>);

fn declared((plain, filename, content_type, size, sha256, tags): Fields) -> Event {
    let upload = if plain { UploadKind::Plain } else { UploadKind::Declared };
    Event::Created(Declaration { upload, filename, content_type, size, sha256, tags })
}

/// A history with an event of every type.
fn full_history() -> History {
    use Deed::{Confirm, Delete, Look, Purge, Put, Restore};
    run(async {
        let world = World::new(0).await;
        for deed in [Put, Look, Confirm, Delete, Restore, Delete, Purge] {
            world.run(deed).await;
        }
        world.history().await
    })
}

fn lines(history: &History) -> Vec<StoredLine> {
    history.entries().iter().map(|entry| entry.line.clone()).collect()
}

#[test]
fn a_single_flipped_bit_anywhere_before_the_last_event_is_found() {
    let history = full_history();
    let (key, good) = (&history.asset().key, lines(&history));
    assert!(History::read(key, good.clone()).is_ok());
    let mut flipped = 0;
    for event in 0..good.len() - 1 {
        for place in 0..good[event].body.len() {
            for bit in 0..8 {
                let mut bytes = good[event].body.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let Ok(body) = String::from_utf8(bytes) else { continue };
                let mut bad = good.clone();
                bad[event].body = body;
                let read = History::read(key, bad);
                assert!(read.is_err(), "event {}, byte {place}, bit {bit}", event + 1);
                flipped += 1;
            }
        }
    }
    assert!(flipped > 10_000, "{flipped}");
}

#[test]
fn events_that_are_missing_swapped_or_from_elsewhere_are_found() {
    let history = full_history();
    let (key, good) = (&history.asset().key, lines(&history));
    for event in 0..good.len() - 1 {
        let mut missing = good.clone();
        missing.remove(event);
        assert!(History::read(key, missing).is_err(), "without {}", event + 1);
        let mut swapped = good.clone();
        swapped.swap(event, event + 1);
        assert!(History::read(key, swapped).is_err(), "{} swapped", event + 1);
    }
    let elsewhere = Key { asset: AssetId::new(DateTime::UNIX_EPOCH, 9), ..key.clone() };
    assert!(History::read(&elsewhere, good).is_err());
}

/// Writers at once on an asset.
const WRITERS: u64 = 64;
/// Changes of each writer.
const CHANGES: usize = 2;

#[test]
fn of_many_threads_on_one_asset_in_memory_no_update_is_lost() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
    no_update_is_lost(&journal);
}

#[test]
fn of_many_threads_on_one_asset_in_sqlite_no_update_is_lost() {
    let folder = TempDir::new().unwrap();
    let journal = run(SqliteJournal::open(folder.path(), OpenMode::OrCreate)).unwrap();
    let journal: Arc<dyn Journal> = Arc::new(journal);
    no_update_is_lost(&journal);
}

/// Deletes and restores concurrently under unique names. Exactly the acknowledged changes must be
/// recorded, once each.
fn no_update_is_lost(journal: &Arc<dyn Journal>) {
    let bucket = Arc::<MemoryBucket>::default();
    let first = service(journal.clone(), &bucket, 0);
    let asset = run(first.create(&caller("creation"), Declaration::plain())).unwrap();
    let asset = asset.asset().key.asset;
    let acknowledged = Mutex::new(HashSet::from(["creation".to_owned()]));
    thread::scope(|scope| {
        for writer in 1..=WRITERS {
            let service = service(journal.clone(), &bucket, writer);
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                let changes = change(&service, asset, &format!("writer {writer}"));
                acknowledged.lock().unwrap().extend(changes);
            });
        }
    });
    let history = run(first.history(&caller("r").key(asset))).unwrap().unwrap();
    assert_whole(&history);
    let recorded: Vec<_> =
        history.entries().iter().map(|e| e.record.cause.request.clone()).collect();
    let once: HashSet<_> = recorded.iter().cloned().collect();
    assert_eq!(once.len(), recorded.len(), "each command is recorded once");
    assert_eq!(once, acknowledged.into_inner().unwrap(), "and those are the acknowledged ones");
}

/// Deletes and restores in turn until enough commands are acknowledged with their own event, and
/// returns their names. Each race has a winner, so every writer ends.
fn change(service: &LedgerService, asset: AssetId, writer: &str) -> Vec<String> {
    let names = (0_u64..).map(|nth| (nth, format!("{writer}, command {nth}")));
    names
        .filter(|(nth, name)| run(toggle(service, asset, name, nth % 2 == 0)))
        .map(|(_, name)| name)
        .take(CHANGES)
        .collect()
}

/// Deletes or restores, and returns whether its own event was acknowledged.
async fn toggle(service: &LedgerService, asset: AssetId, name: &str, delete: bool) -> bool {
    let outcome = if delete {
        service.delete(&caller(name), asset, None, None).await
    } else {
        service.restore(&caller(name), asset, None).await
    };
    match outcome {
        Ok(history) => history.entries().iter().any(|e| e.record.cause.request == name),
        Err(Refusal::Store(error)) => panic!("{}", ledger::error::chain(&error)),
        Err(_) => false,
    }
}
