//! The rules of access as tables, its stored samples, and its service.

mod repeats;
mod uses;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinSet;

use super::decide::decide;
use super::*;
use crate::asset::Reason;
use crate::audit::inspect_with;
use crate::chain::Hash;
use crate::effects::Effects;
use crate::error::{StoreError, StoreErrorKind};
use crate::id::{AccessStream, PartitionKey, Tenant};
use crate::journal::scan::Chain;
use crate::journal::{Appended, Journal, JournalDecorator};
use crate::record::{AccessRecord, CanonicalLine, Cause, CommandId, EventSource, StoredLine};
use crate::service::Caller;
use crate::testing::{Chance, Faults, Faulty, MemoryJournal, TestEffects};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/access");

fn tenant() -> Tenant {
    "acme".parse().unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
}

fn id(number: u64) -> KeyId {
    KeyId::new(number)
}

fn created(number: u64) -> AccessEvent {
    AccessEvent::KeyCreated(key(number, None))
}

fn key(number: u64, replaces: Option<Replacement>) -> KeyCreated {
    let scopes = [Scope::Read, Scope::Admin].into_iter().collect();
    let name = format!("key {number}");
    let secret_hash = Hash::of(&number.to_be_bytes());
    KeyCreated {
        id: id(number),
        name,
        scopes,
        own_only: false,
        expires_at: None,
        secret_hash,
        upload_public_key: Some(upload_public_key()),
        replaces,
    }
}

fn upload_public_key() -> UploadPublicKey {
    UploadPublicKey::try_from("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        .unwrap()
}

fn new(number: u64) -> NewKey {
    let KeyCreated { id, name, scopes, own_only, expires_at, secret_hash, .. } = key(number, None);
    let name = KeyName::new(name).unwrap();
    let key = StoredKey { id, secret_hash, upload_public_key: upload_public_key() };
    NewKey { key, asked: KeyRequest { name, scopes, own_only, expires_at } }
}

fn rotation(replaced: u64, grace: i64) -> Rotation {
    let NewKey { key, asked: KeyRequest { expires_at, .. } } = new(90);
    let (replaced, grace) = (KeyId::new(replaced), TimeDelta::seconds(grace));
    Rotation { replaced, grace, key, expires_at }
}

fn revoked(number: u64) -> AccessEvent {
    AccessEvent::KeyRevoked { id: id(number), reason: None }
}

/// The fold of events a second apart, the first at second 1.
fn folded(events: &[AccessEvent]) -> Option<TenantAccess> {
    let mut access = None;
    for (version, event) in (1..).zip(events) {
        let command = CommandId::fresh(u128::from(version));
        let (actor, request) = ("cli:ann".to_owned(), "r".to_owned());
        let record = AccessRecord {
            key: AccessStream(tenant()),
            version,
            event: event.clone(),
            cause: Cause { actor, source: EventSource::Cli, request, command },
            at: at(i64::try_from(version).unwrap()),
            prev: Hash::ZERO,
        };
        match &mut access {
            None => access = Some(TenantAccess::begin(&record, Hash::ZERO).unwrap()),
            Some(access) => access.apply(&record, Hash::ZERO).unwrap(),
        }
    }
    access
}

fn given(events: &[AccessEvent]) -> impl Fn(AccessCommand) -> Outcome + use<> {
    let access = folded(events);
    move |command| decide(access.as_ref(), &command, false, at(100))
}

type Outcome = Result<Option<AccessEvent>, AccessRejection>;

fn field(outcome: Outcome) -> &'static str {
    match outcome {
        Err(AccessRejection::Invalid(invalid)) => invalid.field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tenant_is_created_once_and_before_all_else() {
    use AccessCommand as C;
    let none = given(&[]);
    assert_eq!(none(C::Create), Ok(Some(AccessEvent::TenantCreated)));
    for command in [
        C::Limit(TenantLimits::default()),
        C::Suspend(None),
        C::Resume,
        C::CreateKey(new(1)),
        C::RotateKey(rotation(1, 0)),
        C::RevokeKey(id(1), None),
    ] {
        assert_eq!(none(command), Err(AccessRejection::NoTenant));
    }
    let there = given(&[AccessEvent::TenantCreated]);
    assert_eq!(there(C::Create), Ok(None));
    assert_eq!(there(C::Resume), Ok(None));
    let reason = Some(Reason::new("late".into()).unwrap());
    let suspended = AccessEvent::TenantSuspended { reason: Some("late".into()) };
    assert_eq!(there(C::Suspend(reason)), Ok(Some(suspended.clone())));
    let asleep = given(&[AccessEvent::TenantCreated, suspended]);
    assert_eq!(asleep(C::Suspend(None)), Ok(None));
    assert_eq!(asleep(C::Resume), Ok(Some(AccessEvent::TenantResumed)));
}

#[test]
fn limits_are_replaced_whole_and_those_of_a_newer_program_are_kept() {
    let there = given(&[AccessEvent::TenantCreated]);
    let limits = TenantLimits { url_seconds: Some(60), ..TenantLimits::default() };
    let limited = AccessEvent::TenantLimited(limits.clone());
    assert_eq!(there(AccessCommand::Limit(limits.clone())), Ok(Some(limited.clone())));
    let has = given(&[AccessEvent::TenantCreated, limited]);
    assert_eq!(has(AccessCommand::Limit(limits.clone())), Ok(None));
    for seconds in [0, URL_SECONDS_MAX + 1] {
        let limits = TenantLimits { url_seconds: Some(seconds), ..limits.clone() };
        assert_eq!(field(there(AccessCommand::Limit(limits))), "url_seconds");
    }
    let newer = TenantLimits { unknown: ["hold".to_owned()].into(), ..limits.clone() };
    let newer = given(&[AccessEvent::TenantCreated, AccessEvent::TenantLimited(newer)]);
    assert!(matches!(newer(AccessCommand::Limit(limits)), Err(AccessRejection::Newer(_))));
}

#[test]
fn a_key_has_scopes_and_an_end_to_come() {
    let there = given(&[AccessEvent::TenantCreated]);
    assert_eq!(there(AccessCommand::CreateKey(new(1))), Ok(Some(created(1))));
    let with = |scopes: &[Scope]| {
        let mut new = new(1);
        new.asked.scopes = scopes.iter().copied().collect();
        new
    };
    assert_eq!(field(there(AccessCommand::CreateKey(with(&[])))), "scopes");
    let newer = there(AccessCommand::CreateKey(with(&[Scope::Read, Scope::Unknown])));
    assert!(matches!(newer, Err(AccessRejection::Newer(_))), "{newer:?}");
    for end in [at(100), at(99), crate::time::END] {
        let mut new = new(1);
        new.asked.expires_at = Some(end);
        assert_eq!(field(there(AccessCommand::CreateKey(new))), "expires_at");
    }
    let mut events: Vec<_> = (1..=100).map(created).collect();
    events.insert(0, AccessEvent::TenantCreated);
    assert_eq!(given(&events)(AccessCommand::CreateKey(new(0))), Err(AccessRejection::TooManyKeys));
    assert_eq!(
        given(&events)(AccessCommand::RotateKey(rotation(1, 0))),
        Err(AccessRejection::TooManyKeys)
    );
    events.push(revoked(7));
    assert!(given(&events)(AccessCommand::CreateKey(new(0))).is_ok());
}

#[test]
fn a_replacement_has_the_same_scopes_and_ends_the_old_key() {
    let there = given(&[AccessEvent::TenantCreated, created(1)]);
    let rotated = |grace| {
        let ends_at = at(100 + grace);
        let replaces = Some(Replacement { id: id(1), ends_at });
        let KeyCreated { id, secret_hash, .. } = key(90, None);
        AccessEvent::KeyCreated(KeyCreated { id, secret_hash, replaces, ..key(1, None) })
    };
    for grace in [0, 60, 30 * 86_400] {
        let outcome = there(AccessCommand::RotateKey(rotation(1, grace)));
        assert_eq!(outcome, Ok(Some(rotated(grace))));
    }
    for grace in [-1, 30 * 86_400 + 1] {
        let outcome = there(AccessCommand::RotateKey(rotation(1, grace)));
        assert_eq!(field(outcome), "grace_seconds");
    }
    let none = there(AccessCommand::RotateKey(rotation(2, 0)));
    assert_eq!(none, Err(AccessRejection::NoKey(id(2))));

    let events = [AccessEvent::TenantCreated, created(1), rotated(60)];
    let access = folded(&events).unwrap();
    let live = |seconds| access.live(at(seconds)).map(|key| key.id).collect::<Vec<_>>();
    assert_eq!((live(159), live(160)), (vec![id(1), id(90)], vec![id(90)]));
    let (old, new) = (&access.keys[&id(1)], &access.keys[&id(90)]);
    let subject = format!("key:{}", id(1));
    assert_eq!((old.actor(), new.actor()), (format!("{subject}/1"), format!("{subject}/2")));
    assert_eq!((old.subject(), new.subject()), (subject.clone(), subject));
    let again = given(&events)(AccessCommand::RotateKey(rotation(1, 0)));
    assert_eq!(again, Err(AccessRejection::KeyEnded(id(1))), "it was replaced already");
}

#[test]
fn a_caller_of_its_own_assets_gives_out_no_key_that_reaches_more() {
    let own = |number| {
        let mut new = new(number);
        new.asked.own_only = true;
        new
    };
    let owning = AccessEvent::KeyCreated(KeyCreated { own_only: true, ..key(2, None) });
    let access = folded(&[AccessEvent::TenantCreated, created(1), owning]).unwrap();
    let by = |own_only, command| decide(Some(&access), &command, own_only, at(100));
    for (command, wide) in [
        (AccessCommand::CreateKey(new(3)), true),
        (AccessCommand::CreateKey(own(3)), false),
        (AccessCommand::RotateKey(rotation(1, 60)), true),
        (AccessCommand::RotateKey(rotation(2, 60)), false),
    ] {
        let Ok(Some(AccessEvent::KeyCreated(key))) = by(false, command.clone()) else {
            panic!("{command:?}");
        };
        assert_eq!(key.own_only, !wide, "a replacement reaches what the replaced key did");
        let refused = by(true, command.clone()).err();
        assert_eq!(refused, wide.then_some(AccessRejection::Widened), "{command:?}");
    }
    assert!(by(true, AccessCommand::RevokeKey(id(1), None)).is_ok(), "it may end any");
}

#[test]
fn an_end_only_moves_earlier_and_a_revoked_key_has_none_to_wait_for() {
    let ending = |seconds| {
        let expires_at = Some(at(seconds));
        AccessEvent::KeyCreated(KeyCreated { expires_at, ..key(1, None) })
    };
    let outcome = given(&[AccessEvent::TenantCreated, ending(130)])(AccessCommand::RotateKey(
        rotation(1, 60),
    ));
    let Ok(Some(AccessEvent::KeyCreated(new))) = outcome else { panic!("{outcome:?}") };
    assert_eq!(new.replaces.unwrap().ends_at, at(130));
    let access = folded(&[AccessEvent::TenantCreated, ending(130), revoked(1)]).unwrap();
    assert_eq!(access.keys[&id(1)].ends_at, Some(at(3)));
    assert_eq!(access.live(at(-999)).count(), 0, "also for a clock that is behind");
    let late = Replacement { id: id(1), ends_at: at(900) };
    let late = AccessEvent::KeyCreated(key(2, Some(late)));
    let access = folded(&[AccessEvent::TenantCreated, ending(130), late]).unwrap();
    assert_eq!(access.keys[&id(1)].ends_at, Some(at(130)));
    let there = given(&[AccessEvent::TenantCreated, created(1), revoked(1)]);
    assert_eq!(there(AccessCommand::RevokeKey(id(1), None)), Ok(None));
    let there = given(&[AccessEvent::TenantCreated, ending(50)]);
    assert_eq!(there(AccessCommand::RevokeKey(id(1), None)), Ok(None), "it has ended");
}

#[test]
fn a_full_stream_takes_only_what_ends_keys() {
    let mut access = folded(&[AccessEvent::TenantCreated, created(1)]).unwrap();
    access.version = 9_800;
    let full = |command| decide(Some(&access), &command, false, at(100));
    assert_eq!(full(AccessCommand::CreateKey(new(2))), Err(AccessRejection::Full));
    assert!(full(AccessCommand::RevokeKey(id(1), None)).is_ok());
    assert!(full(AccessCommand::Suspend(None)).is_ok());
    access.version = 10_000;
    let full = decide(Some(&access), &AccessCommand::Suspend(None), false, at(100));
    assert_eq!(full, Err(AccessRejection::Full));
}

/// The frozen samples by their names.
fn samples() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, text.strip_suffix('\n').expect("a sample is one line").to_owned())
        })
        .collect()
}

/// The samples as the stream that they are.
fn sampled() -> Vec<StoredLine> {
    let read = |body: String| {
        let version = AccessRecord::read_line(&body).unwrap().version;
        StoredLine { version, body }
    };
    let mut lines: Vec<_> = samples().into_values().map(read).collect();
    lines.sort_by_key(|line| line.version);
    lines
}

#[test]
fn every_sample_is_read_and_written_byte_for_byte() {
    for (name, body) in samples() {
        let record = AccessRecord::read_line(&body).expect(&name);
        let canonical = CanonicalLine::of(&body).expect(&name);
        assert_eq!(canonical, CanonicalLine { body: body.clone(), limits: Ok(()) }, "{name}");
        assert_eq!(name.split_once(".v").unwrap().0, record.event.kind());
        let written = record.line().unwrap().body;
        let older = name.starts_with("key_created.v1");
        assert_eq!(written == body, !older, "{name}: only the newest schema is written");
        assert_eq!(AccessRecord::read_line(&written).unwrap(), record, "{name}");
        assert_eq!(record.within_limits(), Ok(()), "{name}");
    }
    assert!(samples().contains_key("key_created.v2"), "each schema has a sample");
    for kind in AccessEvent::KINDS {
        assert!(samples().contains_key(&format!("{kind}.v1")), "{kind} has no sample");
    }
}

#[test]
fn the_samples_are_one_stream() {
    let history = AccessHistory::read(&tenant(), sampled()).unwrap().unwrap();
    let access = history.access();
    assert_eq!((access.version, access.suspended), (8, false));
    assert_eq!((access.limits.declared_only, access.limits.url_seconds), (true, Some(600)));
    let keys = access.keys.values().map(|key| (key.actor(), key.revoked, key.own_only));
    let actor = |generation| format!("key:5bf8a4d0c1e27f36/{generation}");
    let all = [(actor(2), false, false), (actor(3), false, true), (actor(1), true, false)];
    assert_eq!(keys.collect::<Vec<_>>(), all);
    let uploads = access.keys.values().map(|key| key.upload_public_key.is_some());
    assert_eq!(uploads.collect::<Vec<_>>(), [false, true, false], "since schema 2");
    assert!(AccessHistory::read(&Tenant::default(), sampled()).is_err(), "another tenant's");
    assert!(AccessHistory::read(&tenant(), sampled().split_off(1)).is_err(), "a part");
}

#[test]
fn names_of_a_newer_program_are_unknown_and_types_are_refused() {
    let mut lines = sampled();
    let last = lines.remove(2).body;
    lines.truncate(2);
    let with = |body: String| {
        let mut lines = lines.clone();
        lines.push(StoredLine { version: 3, body });
        AccessHistory::read(&tenant(), lines)
    };
    let read = with(last.replace(r#"["read","write"]"#, r#"["read","hold"]"#)).unwrap().unwrap();
    let key = read.access().keys.values().next().unwrap();
    assert_eq!(key.scopes.names(), ["read", "unknown"]);
    let newer = with(last.replace("key_created", "key_frozen")).unwrap_err();
    assert!(newer.is_unknown(), "{newer}");
    let field = with(last.replace(r#""name":"#, r#""own_only":true,"name":"#)).unwrap_err();
    assert!(!field.is_unknown(), "{field}");
    let limited =
        lines[1].body.replace(r#""declared_only":true"#, r#""declared_only":true,"hold":7"#);
    let Ok(AccessRecord { event: AccessEvent::TenantLimited(limits), .. }) =
        AccessRecord::read_line(&limited)
    else {
        panic!("{limited}");
    };
    assert_eq!(limits.unknown.into_iter().collect::<Vec<_>>(), ["hold"]);
    assert_eq!(CanonicalLine::of(&limited).unwrap().body, limited);
    for bad in [r#""declared_only":7"#, r#""hold":"x""#, r#""hold":-1"#] {
        let body = lines[1].body.replace(r#""declared_only":true"#, bad);
        assert!(AccessRecord::read_line(&body).is_err(), "{bad}");
    }
    let body = lines[1].body.replace(":600", ":true");
    assert!(AccessRecord::read_line(&body).is_err());
}

/// A journal that counts reads, and can be away or slow.
#[derive(Default)]
struct Counted {
    journal: MemoryJournal,
    histories: AtomicU64,
    lasts: AtomicU64,
    away: AtomicU64,
    lose_a_reply: AtomicU64,
    restored: AtomicBool,
    earlier: MemoryJournal,
}

impl Counted {
    async fn reach(&self, counter: &AtomicU64) -> Result<(), StoreError> {
        counter.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
        if self.away.load(Ordering::Relaxed) > 0 {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "away"));
        }
        Ok(())
    }

    fn reads(&self) -> (u64, u64) {
        (self.lasts.swap(0, Ordering::Relaxed), self.histories.swap(0, Ordering::Relaxed))
    }
}

impl JournalDecorator for Counted {
    type Inner = MemoryJournal;

    fn inner(&self) -> &MemoryJournal {
        if self.restored.load(Ordering::Relaxed) { &self.earlier } else { &self.journal }
    }

    async fn around<T: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match method {
            "history" => self.reach(&self.histories).await?,
            "last" => self.reach(&self.lasts).await?,
            _ => {}
        }
        call.await
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        let answer = self.journal.append_to(partition, line).await?;
        if self.lose_a_reply.swap(0, Ordering::Relaxed) > 0 {
            return Ok(Appended::Taken(StoredLine { version: 0, body: String::new() }));
        }
        Ok(answer)
    }
}

struct AccessWorld {
    journal: Arc<Counted>,
    effects: Arc<TestEffects>,
    caller: Caller,
}

impl AccessWorld {
    fn new() -> Self {
        let (actor, request) = ("cli:ann".to_owned(), "r".to_owned());
        let (tenant, source, own_only) = (tenant(), EventSource::Cli, false);
        let caller = Caller { tenant, actor, source, request, own_only };
        let effects = Arc::new(TestEffects::seeded(1));
        Self { journal: Arc::default(), effects, caller }
    }

    /// A process.
    fn process(&self) -> AccessService {
        AccessService::new(self.journal.clone(), self.effects.clone())
    }

    /// A process with a tenant and its first key.
    async fn begun(&self) -> (AccessService, ApiKey) {
        let service = self.process();
        service.execute(&self.caller, &AccessCommand::Create).await.unwrap();
        let key = self.created(&service).await;
        self.journal.reads();
        (service, key)
    }

    async fn created(&self, service: &AccessService) -> ApiKey {
        let name = KeyName::new("one".into()).unwrap();
        let request = KeyRequest { name, scopes: Scopes::all(), own_only: false, expires_at: None };
        service.create_key(&self.caller, request, None).await.unwrap().0
    }
}

async fn accepts(service: &AccessService, key: &ApiKey) -> bool {
    service.authenticate(key).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_accepted_by_its_secret_and_nothing_less() {
    let world = AccessWorld::new();
    let (service, key) = world.begun().await;
    let (_, granted) = service.authenticate(&key).await.unwrap().unwrap();
    assert_eq!(
        (granted.actor(), granted.created_by),
        (format!("key:{}/1", key.id), "cli:ann".into())
    );
    let wrong = ApiKey::new(tenant(), key.id, &*world.effects);
    let unknown = ApiKey::new(tenant(), KeyId::new(7), &*world.effects);
    let stranger = ApiKey::new("other".parse().unwrap(), key.id, &*world.effects);
    for other in [wrong, unknown, stranger] {
        assert!(!accepts(&service, &other).await, "{other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_is_believed_for_ten_seconds_then_one_event_is_read() {
    let world = AccessWorld::new();
    let (_, key) = world.begun().await;
    let reader = world.process();
    assert!(accepts(&reader, &key).await);
    assert_eq!(world.journal.reads(), (1, 1));
    for _ in 0..100 {
        assert!(accepts(&reader, &key).await);
    }
    assert_eq!(world.journal.reads(), (0, 0));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(accepts(&reader, &key).await);
    assert_eq!(world.journal.reads(), (1, 0), "the same head is the same state");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_ends_at_once_here_and_within_ten_seconds_elsewhere() {
    let world = AccessWorld::new();
    let (service, key) = world.begun().await;
    let reader = world.process();
    assert!(accepts(&reader, &key).await);
    let revoke = AccessCommand::RevokeKey(key.id, None);
    assert!(service.execute(&world.caller, &revoke).await.unwrap().1);
    assert!(!accepts(&service, &key).await);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(!accepts(&reader, &key).await);
    assert!(!service.execute(&world.caller, &revoke).await.unwrap().1, "once is enough");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_tenant_costs_one_read_in_ten_seconds() {
    let world = AccessWorld::new();
    let service = world.process();
    let key = ApiKey::new(tenant(), KeyId::new(1), &*world.effects);
    for _ in 0..50 {
        assert!(!accepts(&service, &key).await);
    }
    assert_eq!(world.journal.reads(), (1, 0));
    service.execute(&world.caller, &AccessCommand::Create).await.unwrap();
    assert!(service.current(&tenant()).await.unwrap().is_some(), "known at once to its creator");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_reads_once() {
    let world = AccessWorld::new();
    let (_, key) = world.begun().await;
    let reader = Arc::new(world.process());
    let mut crowd = JoinSet::new();
    for _ in 0..64 {
        let (reader, key) = (Arc::clone(&reader), key.clone());
        crowd.spawn(async move { accepts(&reader, &key).await });
    }
    assert!(crowd.join_all().await.into_iter().all(|accepted| accepted));
    assert_eq!(world.journal.reads(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_away_is_an_error_and_is_not_remembered() {
    let world = AccessWorld::new();
    let (_, key) = world.begun().await;
    let reader = world.process();
    world.journal.away.store(1, Ordering::Relaxed);
    assert!(reader.authenticate(&key).await.is_err());
    world.journal.away.store(0, Ordering::Relaxed);
    assert!(accepts(&reader, &key).await);
    world.journal.away.store(1, Ordering::Relaxed);
    assert!(accepts(&reader, &key).await, "it is believed meanwhile");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(reader.authenticate(&key).await.is_err(), "and no longer");
}

#[tokio::test(start_paused = true)]
async fn made_up_tenants_do_not_displace_real_ones() {
    let world = AccessWorld::new();
    let (_, key) = world.begun().await;
    let reader = world.process();
    assert!(accepts(&reader, &key).await);
    for number in 0..1_500 {
        let stranger = format!("t{number}").parse().unwrap();
        assert!(reader.current(&stranger).await.unwrap().is_none());
        // The time of the reads would age the real one.
        if number % 100 == 0 {
            assert!(accepts(&reader, &key).await);
        }
    }
    let before = world.journal.reads().1;
    assert!(accepts(&reader, &key).await);
    assert_eq!((before, world.journal.reads().1), (1, 0), "its history was read once");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_guessed_keys_read_nothing_more() {
    let world = AccessWorld::new();
    let (_, key) = world.begun().await;
    let reader = world.process();
    assert!(accepts(&reader, &key).await);
    assert_eq!(world.journal.reads(), (1, 1));
    for number in 0..100_000_u64 {
        let id = if number.is_multiple_of(2) { key.id } else { KeyId::new(number) };
        assert!(!accepts(&reader, &ApiKey::new(tenant(), id, &*world.effects)).await);
    }
    assert_eq!((world.journal.reads(), reader.kept()), ((0, 0), 1));
    assert!(accepts(&reader, &key).await);
}

#[tokio::test(start_paused = true)]
async fn of_two_thousand_tenants_the_last_1024_are_kept() {
    let world = AccessWorld::new();
    let mut keys = Vec::new();
    for number in 0..2_000 {
        let tenant = format!("t{number}").parse().unwrap();
        let caller = Caller { tenant, ..world.caller.clone() };
        let service = world.process();
        service.execute(&caller, &AccessCommand::Create).await.unwrap();
        let request = KeyRequest {
            name: KeyName::new("one".into()).unwrap(),
            scopes: Scopes::all(),
            own_only: false,
            expires_at: None,
        };
        keys.push(service.create_key(&caller, request, None).await.unwrap().0);
    }
    let reader = world.process();
    for (number, key) in keys.iter().enumerate() {
        assert!(accepts(&reader, key).await, "{number}");
        assert_eq!(reader.kept(), (number + 1).min(1_024));
    }
    world.journal.reads();
    assert!(accepts(&reader, &keys[0]).await, "one that was forgotten is read again");
    assert_eq!((world.journal.reads(), reader.kept()), ((1, 1), 1_024));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_was_restored_to_an_earlier_time_is_believed_as_it_is() {
    let world = AccessWorld::new();
    let (service, key) = world.begun().await;
    assert!(accepts(&service, &key).await);
    world.journal.restored.store(true, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(10)).await;
    for _ in 0..9 {
        assert!(!accepts(&service, &key).await);
    }
    assert_eq!(world.journal.reads(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_read_under_way_does_not_hide_a_change_from_its_own_process() {
    let world = AccessWorld::new();
    let (_, key) = world.begun().await;
    let service = world.process();
    let revoke = AccessCommand::RevokeKey(key.id, None);
    let crowd = async {
        for _ in 0..20 {
            let _ = service.authenticate(&key).await;
            tokio::time::advance(Duration::from_secs(11)).await;
        }
    };
    let (revoked, ()) = tokio::join!(service.execute(&world.caller, &revoke), crowd);
    assert!(revoked.unwrap().1);
    assert!(!accepts(&service, &key).await);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_revoke_at_once_one_records_it() {
    let world = AccessWorld::new();
    let (_, key) = world.begun().await;
    let (one, two) = (world.process(), world.process());
    let revoke = AccessCommand::RevokeKey(key.id, None);
    let (one, two) =
        tokio::join!(one.execute(&world.caller, &revoke), two.execute(&world.caller, &revoke));
    assert_eq!(u8::from(one.unwrap().1) + u8::from(two.unwrap().1), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_reply_was_lost_is_recorded_once() {
    let world = AccessWorld::new();
    let (service, _) = world.begun().await;
    world.journal.lose_a_reply.store(1, Ordering::Relaxed);
    let key = world.created(&service).await;
    assert!(accepts(&world.process(), &key).await);
    let history = service.history(&tenant()).await.unwrap().unwrap();
    assert_eq!(history.lines().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_rotated_key_is_accepted_until_its_grace_ends() {
    let world = AccessWorld::new();
    let (service, old) = world.begun().await;
    let grace = TimeDelta::seconds(60);
    let (new, granted) =
        service.rotate_key(&world.caller, old.id, grace, None, None).await.unwrap();
    assert_eq!((granted.name.as_str(), granted.generation), ("one", 2));
    assert!(accepts(&service, &old).await && accepts(&service, &new).await);
    world.effects.advance(TimeDelta::seconds(61));
    assert!(!accepts(&service, &old).await && accepts(&service, &new).await);
    let none = service.rotate_key(&world.caller, old.id, grace, None, None).await;
    let ended = AccessRejection::KeyEnded(old.id);
    assert!(matches!(none, Err(AccessRefusal::Rejected(rejection)) if rejection == ended));
}

#[tokio::test(start_paused = true)]
async fn the_journal_never_holds_a_secret() {
    let world = AccessWorld::new();
    let (service, key) = world.begun().await;
    let (new, _) =
        service.rotate_key(&world.caller, key.id, TimeDelta::zero(), None, None).await.unwrap();
    let history = service.history(&tenant()).await.unwrap().unwrap();
    for key in [key, new] {
        let secret = &key.reveal()[key.reveal().len() - 72..];
        for line in history.lines() {
            assert!(!line.body.contains(&secret[..16]) && !line.body.contains(&secret[56..]));
        }
        let hash = key.hash().to_string();
        assert!(history.lines().iter().any(|line| line.body.contains(&hash)));
    }
    assert!(world.effects.now() > at(0));
}

/// What one administrator did: the keys that it was given, those whose end was acknowledged, and
/// those whose end may have taken effect.
#[derive(Default)]
struct Deeds {
    given: Vec<ApiKey>,
    ended: Vec<ApiKey>,
    doubtful: Vec<ApiKey>,
}

/// Random changes by one of several processes, over stores that fail before and after their effect.
async fn administer(service: Arc<AccessService>, caller: Caller, chance: Chance) -> Deeds {
    let mut deeds = Deeds::default();
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(chance.below(4_000))).await;
        let name = KeyName::new("one".into()).unwrap();
        let request = KeyRequest { name, scopes: Scopes::all(), own_only: false, expires_at: None };
        match (chance.below(3), chance.pick(&deeds.given).cloned()) {
            (0, Some(key)) => {
                let revoke = AccessCommand::RevokeKey(key.id, None);
                let revoked = service.execute(&caller, &revoke).await;
                if revoked.is_ok() {
                    assert!(!service.authenticate(&key).await.is_ok_and(|it| it.is_some()));
                    deeds.ended.push(key);
                } else {
                    deeds.doubtful.push(key);
                }
            }
            (1, Some(key)) => {
                let rotated =
                    service.rotate_key(&caller, key.id, TimeDelta::zero(), None, None).await;
                if let Ok((new, _)) = rotated {
                    deeds.given.push(new);
                    deeds.ended.push(key);
                } else {
                    deeds.doubtful.push(key);
                }
            }
            _ => {
                let created = service.create_key(&caller, request, None).await;
                deeds.given.extend(created.ok().map(|(key, _)| key));
            }
        }
    }
    deeds
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_an_ended_key_stays_ended_and_the_stream_is_whole() {
    for seed in 0..60 {
        let world = AccessWorld::new();
        let (service, _) = world.begun().await;
        let faults = Arc::new(Faults::new(seed, 250, 40));
        let process = || {
            let journal = Arc::new(Faulty::new(world.journal.clone(), faults.clone()));
            Arc::new(AccessService::new(journal, world.effects.clone()))
        };
        let processes: Vec<_> = (0..3).map(|_| process()).collect();
        let mut admins = JoinSet::new();
        for (number, process) in (0..).zip(&processes) {
            let chance = Chance::new(seed * 10 + number);
            admins.spawn(administer(process.clone(), world.caller.clone(), chance));
        }
        let deeds = admins.join_all().await;
        faults.stop();
        tokio::time::advance(Duration::from_secs(10)).await;
        for process in &processes {
            for Deeds { given, ended, doubtful } in &deeds {
                for key in given {
                    let is_in = |keys: &[ApiKey]| keys.iter().any(|it| it.id == key.id);
                    let accepted = accepts(process, key).await;
                    assert!(!(accepted && is_in(ended)), "seed {seed}: {key:?}");
                    let live = !is_in(ended) && !is_in(doubtful);
                    assert!(accepted || !live, "seed {seed}: {key:?}");
                }
            }
        }
        let lines = service.history(&tenant()).await.unwrap().unwrap().lines().to_vec();
        let partition = PartitionKey::from(AccessStream(tenant())).partition();
        let chain = Chain { partition, lines, strays: Vec::new() };
        assert_eq!(inspect_with(&chain, &[]).findings, [], "seed {seed}");
    }
}
