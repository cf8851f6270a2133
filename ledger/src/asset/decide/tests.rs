//! The state machine of `docs/API.md`, cell by cell: one test a column, one line a row and case.

use chrono::{DateTime, TimeDelta};

use super::*;
use crate::chain::Hash;
use crate::id::{AssetId, Key};
use crate::record::{Cause, CommandId, EventRecord, EventSource};

use AssetStatus as S;
use Rejection as R;

struct Given(Asset);
struct When(Result<Option<Event>, Rejection>);

/// An asset with `created` and these events.
fn given<const N: usize>(events: [Event; N]) -> Given {
    given_declared(Declaration::plain(), events)
}

fn given_declared<const N: usize>(declared: Declaration, events: [Event; N]) -> Given {
    let key = Key { tenant: "main".parse().unwrap(), asset: AssetId::new(DateTime::UNIX_EPOCH, 1) };
    let mut asset =
        Asset::begin(key.clone(), &record(&key, 1, Event::Created(declared)), Hash::ZERO).unwrap();
    for (version, event) in (2..).zip(events) {
        asset.apply(&record(&key, version, event), Hash::ZERO).unwrap();
    }
    Given(asset)
}

fn record(key: &Key, version: u64, event: Event) -> EventRecord {
    let cause = Cause {
        actor: "anonymous".into(),
        source: EventSource::Api,
        request: "r".into(),
        command: CommandId::fresh(u128::from(version)),
    };
    let at = DateTime::UNIX_EPOCH + TimeDelta::microseconds(i64::try_from(version).unwrap());
    EventRecord { key: key.clone(), version, event, cause, at, prev: Hash::ZERO }
}

impl Given {
    #[expect(clippy::needless_pass_by_value, reason = "so that a case reads as a sentence")]
    fn when(self, command: Command) -> When {
        When(decide(&self.0, &command))
    }
}

impl When {
    #[track_caller]
    fn then(self, event: Event) {
        assert_eq!(self.0, Ok(Some(event)));
    }

    #[track_caller]
    fn then_nothing(self) {
        assert_eq!(self.0, Ok(None));
    }

    #[track_caller]
    fn then_rejected(self, rejection: Rejection) {
        assert_eq!(self.0, Err(rejection));
    }
}

fn version(id: &str) -> ObjectVersion {
    let sha256 = Some(Hash::of(id.as_bytes()).to_string());
    ObjectVersion { version_id: id.into(), size: 3, sha256, etag: "e".into() }
}

fn received(id: &str) -> Event {
    Event::Received(version(id))
}

fn uploaded() -> Event {
    Event::Uploaded
}

fn deleted() -> Event {
    Event::SoftDeleted { reason: None }
}

fn restored() -> Event {
    Event::Restored
}

fn purging() -> Event {
    Event::PurgeRequested
}

fn purged() -> Event {
    Event::Purged
}

/// The key shows `current`, and the pinned version exists.
fn sees(current: CurrentObject) -> Command {
    Command::Observe(ObservedObject::Key { current, pin: PinnedVersion::There })
}

/// The key shows `current`, and the pinned version is gone.
fn misses_its_pin_and_sees(current: CurrentObject) -> Command {
    Command::Observe(ObservedObject::Key { current, pin: PinnedVersion::Gone })
}

/// The key shows `current`, and the pinned version is missing, possibly only for now.
fn does_not_find_its_pin_and_sees(current: CurrentObject) -> Command {
    Command::Observe(ObservedObject::Key { current, pin: PinnedVersion::Missing })
}

fn object(id: &str) -> CurrentObject {
    CurrentObject::Object(version(id))
}

fn marker() -> CurrentObject {
    CurrentObject::DeleteMarker { version_id: "m".into() }
}

fn nothing() -> CurrentObject {
    CurrentObject::Absent
}

fn swept(left: usize) -> Command {
    Command::Observe(ObservedObject::Swept { left })
}

fn delete() -> Command {
    Command::Delete(None)
}

fn restore() -> Command {
    Command::Restore { pin_exists: true }
}

fn restore_without_pin() -> Command {
    Command::Restore { pin_exists: false }
}

use Command::{Confirm, Purge};

#[test]
fn a_current_version_that_is_not_the_pinned_one() {
    given([]).when(sees(object("v1"))).then(received("v1"));
    given([received("v1")]).when(sees(object("v2"))).then(received("v2"));
    given([received("v1"), received("v2")]).when(sees(object("v1"))).then(received("v1"));
    given([received("v1"), uploaded()]).when(sees(object("v2"))).then_nothing();
    given([deleted()]).when(sees(object("v1"))).then(received("v1"));
    given([received("v1"), deleted()]).when(sees(object("v2"))).then_nothing();
    given([received("v1"), uploaded(), deleted()]).when(sees(object("v2"))).then_nothing();
    given([received("v1"), deleted(), purging()]).when(sees(object("v2"))).then_nothing();
    given([received("v1"), purged()]).when(sees(object("v2"))).then_nothing();
}

#[test]
fn the_version_that_is_pinned_already() {
    given([received("v1")]).when(sees(object("v1"))).then_nothing();
    given([received("v1"), uploaded()]).when(sees(object("v1"))).then_nothing();
    given([received("v1"), deleted()]).when(sees(object("v1"))).then_nothing();
    given([deleted(), received("v1")]).when(sees(object("v1"))).then_nothing();
}

#[test]
fn nothing_there_yet() {
    given([]).when(sees(nothing())).then_nothing();
    given([]).when(sees(marker())).then_nothing();
    given([deleted()]).when(sees(nothing())).then_nothing();
    given([deleted()]).when(sees(marker())).then_nothing();
}

#[test]
fn confirming() {
    given([]).when(Confirm).then_rejected(R::NotReceived(S::Created));
    given([received("v1")]).when(Confirm).then(uploaded());
    given([received("v1"), received("v2")]).when(Confirm).then(uploaded());
    given([received("v1"), uploaded()]).when(Confirm).then_nothing();
    given([deleted()]).when(Confirm).then_rejected(R::NotReceived(S::Deleted));
    given([received("v1"), deleted()]).when(Confirm).then_rejected(R::NotReceived(S::Deleted));
    given([received("v1"), uploaded(), deleted()])
        .when(Confirm)
        .then_rejected(R::NotReceived(S::Deleted));
    given([deleted(), purging()]).when(Confirm).then_rejected(R::NotReceived(S::Purging));
    given([received("v1"), purged()]).when(Confirm).then_rejected(R::NotFound);
}

#[test]
fn confirming_bytes_that_were_declared() {
    let declared = |size, sha256: Option<&str>| {
        let sha256 = sha256.map(|of| Hash::of(of.as_bytes()).to_string());
        Declaration { size, sha256, ..Declaration::plain() }
    };
    let confirmed = |declared| given_declared(declared, [received("v1")]).when(Confirm);
    confirmed(declared(Some(3), None)).then(uploaded());
    confirmed(declared(None, Some("v1"))).then(uploaded());
    confirmed(declared(Some(4), None)).then_rejected(R::Mismatch { field: "size" });
    confirmed(declared(Some(3), Some("v2"))).then_rejected(R::Mismatch { field: "sha256" });

    let unknown = Event::Received(ObjectVersion { sha256: None, ..version("v1") });
    given_declared(declared(None, Some("v1")), [unknown])
        .when(Confirm)
        .then_rejected(R::Mismatch { field: "sha256" });
}

#[test]
fn deleting() {
    given([]).when(delete()).then(deleted());
    given([received("v1")]).when(delete()).then(deleted());
    given([received("v1"), uploaded()]).when(delete()).then(deleted());
    given([deleted()]).when(delete()).then_nothing();
    given([received("v1"), deleted(), purging()]).when(delete()).then_nothing();
    given([received("v1"), purged()]).when(delete()).then_rejected(R::NotFound);

    let why = || Some("a duplicate".to_owned());
    let because = Command::Delete(why().map(|reason| Reason::new(reason).unwrap()));
    given([]).when(because).then(Event::SoftDeleted { reason: why() });
}

#[test]
fn restoring() {
    given([]).when(restore()).then_rejected(R::NotDeleted(S::Created));
    given([received("v1")]).when(restore()).then_rejected(R::NotDeleted(S::Received));
    given([received("v1"), uploaded()]).when(restore()).then_rejected(R::NotDeleted(S::Uploaded));
    given([deleted()]).when(restore()).then(restored());
    given([received("v1"), deleted()]).when(restore()).then(restored());
    given([received("v1"), deleted()]).when(restore_without_pin()).then_rejected(R::PinGone);
    given([deleted(), purging()]).when(restore()).then_rejected(R::BeingPurged);
    given([received("v1"), purged()]).when(restore()).then_rejected(R::Purged);
}

#[test]
fn restored_as_it_was() {
    let status = |events: [Event; 4]| given(events).0.status();
    assert_eq!(given([deleted(), restored()]).0.status(), S::Created);
    assert_eq!(given([received("v1"), deleted(), restored()]).0.status(), S::Received);
    assert_eq!(given([deleted(), received("v1"), restored()]).0.status(), S::Received);
    assert_eq!(status([received("v1"), uploaded(), deleted(), restored()]), S::Uploaded);
}

#[test]
fn the_pinned_version_is_gone() {
    for current in [nothing(), marker()] {
        let gone = || misses_its_pin_and_sees(current.clone());
        given([received("v1")]).when(gone()).then(purged());
        given([received("v1"), uploaded()]).when(gone()).then(purged());
        given([received("v1"), deleted()]).when(gone()).then(purged());
        given([received("v1"), uploaded(), deleted()]).when(gone()).then(purged());
        given([received("v1"), deleted(), purging()]).when(gone()).then_nothing();
        given([received("v1"), purged()]).when(gone()).then_nothing();
    }
}

#[test]
fn the_pinned_version_is_missing_for_now() {
    for current in [nothing(), marker()] {
        let missing = || does_not_find_its_pin_and_sees(current.clone());
        given([received("v1")]).when(missing()).then_nothing();
        given([received("v1"), uploaded()]).when(missing()).then_nothing();
        given([received("v1"), deleted()]).when(missing()).then_nothing();
        given([received("v1"), uploaded(), deleted()]).when(missing()).then_nothing();
        given([received("v1"), deleted(), purging()]).when(missing()).then_nothing();
        given([received("v1"), purged()]).when(missing()).then_nothing();
    }
    let other = || does_not_find_its_pin_and_sees(object("v0"));
    given([received("v1")]).when(other()).then(received("v0"));
    given([received("v1"), uploaded()]).when(other()).then_nothing();
    given([received("v1"), deleted()]).when(other()).then_nothing();
}

#[test]
fn the_pinned_version_is_gone_and_another_is_current() {
    let other = || misses_its_pin_and_sees(object("v0"));
    given([received("v1")]).when(other()).then(received("v0"));
    given([received("v1"), uploaded()]).when(other()).then(purged());
    given([received("v1"), deleted()]).when(other()).then(purged());
    given([received("v1"), purged()]).when(other()).then_nothing();
}

#[test]
fn a_delete_marker_over_the_pinned_version() {
    given([received("v1")]).when(sees(marker())).then(deleted());
    given([received("v1"), uploaded()]).when(sees(marker())).then(deleted());
    given([received("v1"), deleted()]).when(sees(marker())).then_nothing();
    given([received("v1"), deleted(), purging()]).when(sees(marker())).then_nothing();
    given([received("v1"), purged()]).when(sees(marker())).then_nothing();
}

#[test]
fn purging_it() {
    given([]).when(Purge).then_rejected(R::NotDeleted(S::Created));
    given([received("v1")]).when(Purge).then_rejected(R::NotDeleted(S::Received));
    given([received("v1"), uploaded()]).when(Purge).then_rejected(R::NotDeleted(S::Uploaded));
    given([deleted()]).when(Purge).then(purging());
    given([received("v1"), deleted()]).when(Purge).then(purging());
    given([received("v1"), deleted(), purging()]).when(Purge).then_nothing();
    given([received("v1"), purged()]).when(Purge).then_rejected(R::Purged);
}

#[test]
fn every_version_was_deleted() {
    given([deleted(), purging()]).when(swept(0)).then(purged());
    given([deleted(), purging()]).when(swept(1)).then_nothing();
    given([received("v1"), purged()]).when(swept(0)).then_nothing();
    for live in [given([]), given([received("v1")]), given([deleted()])] {
        live.when(swept(0)).then_nothing();
    }
}

#[test]
fn another_upload_url() {
    let declared = Declaration { upload: UploadKind::Declared, ..Declaration::plain() };
    assert_eq!(given([]).0.upload_again(), Ok(UploadKind::Plain));
    assert_eq!(given_declared(declared, []).0.upload_again(), Ok(UploadKind::Declared));
    let refused = |given: Given| given.0.upload_again().unwrap_err();
    assert_eq!(refused(given([received("v1")])), R::NotAwaitingUpload(S::Received));
    assert_eq!(refused(given([received("v1"), uploaded()])), R::NotAwaitingUpload(S::Uploaded));
    assert_eq!(refused(given([deleted()])), R::NotAwaitingUpload(S::Deleted));
    assert_eq!(refused(given([deleted(), purging()])), R::NotAwaitingUpload(S::Purging));
    assert_eq!(refused(given([deleted(), purging(), purged()])), R::Purged);
}

#[test]
fn downloading() {
    let pinned = given([received("v1"), received("v2"), uploaded()]);
    assert_eq!(pinned.0.download(), Ok(&version("v2")));
    let refused = |given: Given| given.0.download().cloned().unwrap_err();
    assert_eq!(refused(given([])), R::NotDownloadable(S::Created));
    assert_eq!(refused(given([received("v1")])), R::NotDownloadable(S::Received));
    assert_eq!(
        refused(given([received("v1"), uploaded(), deleted()])),
        R::NotDownloadable(S::Deleted)
    );
    assert_eq!(refused(given([deleted(), purging()])), R::NotDownloadable(S::Purging));
    assert_eq!(refused(given([received("v1"), uploaded(), purged()])), R::NotFound);
}
