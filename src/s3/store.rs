//! The bucket's bytes together with their rows.
//!
//! The order makes changes durable. The bytes are on disk before the one transaction that writes
//! the version and its notification, and only then are they moved to the objects. At a deletion
//! they are moved out before the row is removed, and removed after it. So a crash leaves at most a
//! file in the drafts, and [`ObjectStore::settle`] completes the change by the rows. A file in the
//! objects without a row has another cause: the rows are older than the files. It is set aside.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use ledger::Effects;
use ledger::absences::Absences;
use ledger::error::{StoreError, StoreErrorKind};
use rusqlite::Connection;
use stores::sqlite::{Database, OpenMode};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::absences::SqliteAbsences;
use super::event::{NotificationSource, ObjectChange, PendingNotification};
use super::folder::BucketFolder;
use super::outbox::{self, Outbox};
use super::rows::{self, Content, SCHEMA, Version, VersionCursor};
use super::staged::StagedUpload;
use super::sync_threads::SyncThreads;

/// A bucket in a folder.
pub(super) struct ObjectStore {
    pub(super) bucket: String,
    pub(super) outbox: Outbox,
    pub(super) folder: BucketFolder,
    db: Arc<Database>,
    sync_threads: SyncThreads,
    pub(super) effects: Arc<dyn Effects>,
}

/// A version to be created.
pub(super) struct NewVersion {
    pub(super) key: String,
    /// `None` for a delete marker.
    pub(super) content: Option<Content>,
    pub(super) caller: NotificationSource,
    /// Whether it may only be created if there is no object.
    pub(super) only_first: bool,
}

impl ObjectStore {
    /// Opens the bucket. Interrupted changes and strays stay until [`ObjectStore::settle`].
    pub(super) fn open(
        dir: &Path,
        bucket: &str,
        effects: Arc<dyn Effects>,
    ) -> Result<Self, StoreError> {
        let file = dir.join("objects.sqlite");
        let folder = BucketFolder::open(dir, &file)?;
        let db = Arc::new(Database::open(&file, &SCHEMA, OpenMode::OrCreate)?);
        let outbox = Outbox::new(Arc::clone(&db));
        let (bucket, sync_threads) = (bucket.to_owned(), SyncThreads::new());
        Ok(Self { bucket, outbox, folder, db, sync_threads, effects })
    }

    pub(super) fn absences(&self) -> Arc<dyn Absences> {
        Arc::new(SqliteAbsences { db: Arc::clone(&self.db) })
    }

    /// The same bucket, for a reader beside the process that serves it: nothing is created, and
    /// nothing swept.
    pub(super) fn beside(
        dir: &Path,
        bucket: &str,
        effects: Arc<dyn Effects>,
        open: OpenMode,
    ) -> Result<Self, StoreError> {
        let file = dir.join("objects.sqlite");
        let db = Arc::new(Database::open(&file, &SCHEMA, open)?);
        let (outbox, folder) = (Outbox::new(Arc::clone(&db)), BucketFolder::beside(dir));
        let (bucket, sync_threads) = (bucket.to_owned(), SyncThreads::new());
        Ok(Self { bucket, outbox, folder, db, sync_threads, effects })
    }

    pub(super) fn database(&self) -> &Database {
        &self.db
    }

    pub(super) async fn current(&self, key: &str) -> Result<Option<Version>, StoreError> {
        let key = key.to_owned();
        self.db.look_up(move |db| rows::current(db, &key)).await
    }

    pub(super) async fn named(&self, key: &str, id: &str) -> Result<Option<Version>, StoreError> {
        let (key, id) = (key.to_owned(), id.to_owned());
        self.db.look_up(move |db| rows::named(db, &key, &id)).await
    }

    pub(super) async fn list(
        &self,
        prefix: String,
        after: VersionCursor,
        limit: usize,
    ) -> Result<Vec<(Version, bool)>, StoreError> {
        self.db.read(move |db| rows::list(db, &prefix, &after, limit)).await
    }

    /// The bytes of a version, or `None` if it was just deleted.
    pub(super) async fn bytes(
        &self,
        version: &Version,
        size: u64,
    ) -> Result<Option<File>, StoreError> {
        match self.folder.read(&version.id).await? {
            Some((length, file)) if length == size => Ok(Some(file)),
            None if self.named(&version.key, &version.id).await?.is_none() => Ok(None),
            other => {
                let found = other.map(|(length, _)| length.to_string());
                let (id, found) = (&version.id, found.as_deref().unwrap_or("none"));
                let key = &version.key;
                metrics::counter!("asset_ledger_objects_altered").increment(1);
                let text =
                    format!("{key}: version {id} has {size} bytes, and on disk there are {found}");
                Err(StoreError::new(StoreErrorKind::Corrupt, text))
            }
        }
    }

    /// Makes a draft the current version of its key, or returns `None` if this is not allowed.
    pub(super) async fn publish(
        self: &Arc<Self>,
        staged: StagedUpload,
        new: NewVersion,
    ) -> Result<Option<Version>, StoreError> {
        let (runtime, is_small) = (Handle::current(), staged.is_in_memory());
        let (answer, published) = Answer::awaited(self);
        let publish = move || {
            let _entered = runtime.enter();
            keep_and_record(staged, new, answer);
        };
        if is_small {
            self.sync_threads.run(publish);
        } else {
            drop(spawn_blocking(publish));
        }
        published.await
    }

    /// Writes a delete marker as the current version of a key, with or without older versions.
    pub(super) async fn mark(
        self: &Arc<Self>,
        key: &str,
        caller: NotificationSource,
    ) -> Result<Version, StoreError> {
        let new = NewVersion { key: key.to_owned(), content: None, caller, only_first: false };
        let (notice, outbox) = (self.notice(key, &self.id(), &new.caller), self.outbox.clone());
        let insert = move |tx: &Connection| insert(tx, &notice, new);
        let marker = self.db.write_then(insert, move |_| outbox.wake()).await?;
        marker.ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, "a marker was not written"))
    }

    /// Deletes one version permanently; `None` if there is none with that id.
    pub(super) async fn remove(
        self: &Arc<Self>,
        key: &str,
        id: &str,
        caller: &NotificationSource,
    ) -> Result<Option<Version>, StoreError> {
        if self.named(key, id).await?.is_none() {
            return Ok(None);
        }
        let (notice, runtime) = (self.notice(key, id, caller), Handle::current());
        let (answer, removed) = Answer::awaited(self);
        drop(spawn_blocking(move || {
            if let Err(error) = answer.store.folder.withdraw(&notice.version_id) {
                return answer.give(Err(error));
            }
            let db = Arc::clone(&answer.store.db);
            let discard = move |gone: Result<Option<Version>, StoreError>| match gone {
                Ok(gone) => {
                    answer.store.outbox.wake();
                    // Not here, because the writer does not wait for the removal of a large file.
                    drop(runtime.spawn_blocking(move || {
                        if let Some(version) = gone.as_ref().filter(|it| it.content.is_some()) {
                            answer.store.folder.discard(&version.id);
                        }
                        answer.give(Ok(gone));
                    }));
                }
                Err(error) => answer.give(Err(error)),
            };
            db.write_from_thread(move |tx| remove(tx, &notice), discard);
        }));
        removed.await
    }

    /// A version's id: the time, so that the index of ids grows at its end, and 80 random bits.
    fn id(&self) -> String {
        let millis = self.effects.now().timestamp_millis().cast_unsigned() & (u64::MAX >> 16);
        format!("{millis:012x}{:020x}", self.effects.random() >> 48)
    }

    fn notice(&self, key: &str, id: &str, caller: &NotificationSource) -> PendingNotification {
        PendingNotification {
            id: self.effects.random(),
            at: self.effects.now(),
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            version_id: id.to_owned(),
            caller: caller.clone(),
        }
    }

    /// Files in the objects without a version's row.
    pub(super) async fn strays(&self) -> Result<Vec<String>, StoreError> {
        let ids = self.folder.ids().await?;
        let strays = self.db.read(move |db| rows::strays(db, ids)).await?;
        // Listed again: a version may have been deleted between the two queries.
        let there = self.folder.ids().await?;
        Ok(strays.into_iter().filter(|id| there.contains(id)).collect())
    }

    /// Uploads whose bytes are on disk and whose version has no row.
    pub(super) async fn unanswered(&self) -> Result<Vec<String>, StoreError> {
        let ids = self.folder.coming_bytes().await?;
        self.db.read(move |db| rows::strays(db, ids)).await
    }

    /// Finishes interrupted changes, and sets strays aside.
    pub(super) async fn settle(self: &Arc<Self>) -> Result<(), StoreError> {
        self.folder.drop_drafts().await?;
        let (coming, going) = (self.folder.coming().await?, self.folder.going().await?);
        let all = [&coming[..], &going[..]].concat();
        let unwanted = self.db.read(move |db| rows::strays(db, all)).await?;
        if !unwanted.is_empty() {
            let files = unwanted.len();
            tracing::info!(files, "finished deletions, and removed drafts that have no version");
        }
        let store = Arc::clone(self);
        let finish = move || {
            for id in &unwanted {
                store.folder.discard(id);
            }
            let unwanted: BTreeSet<_> = unwanted.into_iter().collect();
            let wanted = |id: &&String| !unwanted.contains(*id);
            coming.iter().filter(wanted).for_each(|id| store.folder.place(id));
            going.iter().filter(wanted).for_each(|id| store.folder.put_back(id));
        };
        let cut = |cut| StoreError::caused(StoreErrorKind::Unavailable, "a start was cut", cut);
        spawn_blocking(finish).await.map_err(cut)?;
        for id in self.strays().await? {
            let path = self.folder.set_aside(&id).await?;
            metrics::counter!("asset_ledger_objects_set_aside").increment(1);
            tracing::error!(id, path = %path.display(),
                "a file of no version was set aside: objects.sqlite is older than it, or it was \
                 put there by hand");
        }
        Ok(())
    }
}

/// Gives the result of a change to its caller, from any thread. The change is completed even if the
/// caller is gone: a client that disconnects may or may not find its object, but never a part of
/// it, and the notification is sent at once.
struct Answer<T> {
    store: Arc<ObjectStore>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T> Answer<T> {
    /// An answer, and its result. It is an error if the answer is dropped.
    fn awaited(
        store: &Arc<ObjectStore>,
    ) -> (Self, impl Future<Output = Result<T, StoreError>> + use<T>) {
        let (reply, result) = oneshot::channel();
        let cut = |cut| StoreError::caused(StoreErrorKind::Unavailable, "a change was cut", cut);
        let result = async move { result.await.unwrap_or_else(|none| Err(cut(none))) };
        (Self { store: Arc::clone(store), reply }, result)
    }

    fn give(self, result: Result<T, StoreError>) {
        let Self { store, reply } = self;
        // First, because the caller may close the bucket and open it again.
        drop(store);
        // The caller may be gone.
        let _ = reply.send(result);
    }
}

/// Syncs a draft to disk and has its row written. The writer's thread moves the file after the
/// commit, and answers. Blocks.
fn keep_and_record(staged: StagedUpload, new: NewVersion, answer: Answer<Option<Version>>) {
    let store = &answer.store;
    let id = match store.folder.keep(staged, || store.id()) {
        Ok(id) => id,
        Err(error) => return answer.give(Err(error)),
    };
    let notice = store.notice(&new.key, &id, &new.caller);
    let (db, runtime) = (Arc::clone(&store.db), Handle::current());
    let place = move |recorded: Result<Option<Version>, StoreError>| match recorded {
        Ok(Some(version)) => {
            answer.store.outbox.wake();
            answer.store.folder.place(&version.id);
            answer.give(Ok(Some(version)));
        }
        // Not here, because the writer does not wait for the removal of a large file.
        Ok(None) => drop(runtime.spawn_blocking(move || {
            answer.store.folder.discard(&id);
            answer.give(Ok(None));
        })),
        // It is not known what was committed: the next start decides.
        Err(error) => answer.give(Err(error)),
    };
    db.write_from_thread(move |tx| insert(tx, &notice, new), place);
}

/// The transaction that creates a version. It checks the condition itself, because no other change
/// can happen between the check and the insert.
fn insert(
    tx: &Connection,
    notice: &PendingNotification,
    new: NewVersion,
) -> rusqlite::Result<Option<Version>> {
    let hidden = |current: Option<Version>| current.is_none_or(|c| c.content.is_none());
    if new.only_first && !hidden(rows::current(tx, &new.key)?) {
        return Ok(None);
    }
    let (change, id) = (rows::next_change(tx)?, notice.version_id.clone());
    let version = Version { change, key: new.key, id, at: notice.at, content: new.content };
    rows::insert(tx, &version)?;
    let (happened, etag) = match &version.content {
        Some(content) => (ObjectChange::Created { size: content.size }, Some(content.etag())),
        None => (ObjectChange::Marked, None),
    };
    let event = notice.envelope(change, happened, etag.as_deref()).map_err(unwritten)?;
    outbox::insert(tx, change, notice.at, &event)?;
    Ok(Some(version))
}

/// The transaction that removes a version.
fn remove(tx: &Connection, notice: &PendingNotification) -> rusqlite::Result<Option<Version>> {
    let Some(version) = rows::named(tx, &notice.key, &notice.version_id)? else {
        return Ok(None);
    };
    rows::remove(tx, &version)?;
    let change = rows::next_change(tx)?;
    let etag = version.content.as_ref().map(Content::etag);
    let event = notice.envelope(change, ObjectChange::Removed, etag.as_deref());
    let event = event.map_err(unwritten)?;
    outbox::insert(tx, change, notice.at, &event)?;
    Ok(Some(version))
}

fn unwritten(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use chrono::TimeDelta;
    use futures::FutureExt;

    use super::super::outbox::Backlog;
    use super::super::rows::Headers;
    use super::super::testing::Fixed;
    use super::*;

    fn open(dir: &Path) -> Arc<ObjectStore> {
        Arc::new(ObjectStore::open(dir, "assets", Arc::<Fixed>::default()).unwrap())
    }

    async fn upload(store: &ObjectStore, bytes: &'static [u8]) -> (StagedUpload, NewVersion) {
        let staged = store.folder.draft().absorb(Bytes::from_static(bytes)).await.unwrap();
        let (staged, sums) = staged.complete().await.unwrap();
        let headers = Headers::default();
        let content = Content { size: sums.size, sha256: sums.sha256, md5: sums.md5, headers };
        let (request_id, source_ip) = ("R1".to_owned(), "127.0.0.1".to_owned());
        let caller = NotificationSource { request_id, source_ip };
        let key = "main/1".to_owned();
        (staged, NewVersion { key, content: Some(content), caller, only_first: true })
    }

    async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let look = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), look).await.expect(what);
    }

    #[tokio::test]
    async fn a_change_whose_caller_is_gone_is_completed() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let (staged, new) = upload(&store, b"hello").await;
        assert!(store.publish(staged, new).now_or_never().is_none(), "it waits for the disk");
        until("the version is there", async || store.current("main/1").await.unwrap().is_some())
            .await;
        let version = store.current("main/1").await.unwrap().unwrap();
        let place = store.folder.objects.join(&version.id);
        until("its bytes are placed", async || place.is_file()).await;
        let backlog = async || store.outbox.backlog().await.unwrap();
        assert_eq!(backlog().await, Backlog { waiting: 1, dead: 0 });

        let caller = NotificationSource { request_id: String::new(), source_ip: String::new() };
        let mut removal = Box::pin(store.remove("main/1", &version.id, &caller));
        while place.is_file() {
            assert!((&mut removal).now_or_never().is_none(), "it waits for the disk");
            tokio::task::yield_now().await;
        }
        drop(removal);
        let drafts = || super::super::folder::drafts_of(&version.id);
        let left = || drafts().iter().any(|name| dir.path().join("tmp").join(name).exists());
        until("its bytes are removed", async || !left()).await;
        assert_eq!(store.current("main/1").await.unwrap(), None);
        assert_eq!(backlog().await, Backlog { waiting: 2, dead: 0 });
    }

    #[tokio::test]
    async fn an_upload_that_is_not_allowed_leaves_no_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for (bytes, is_first) in [(&b"first"[..], true), (b"second", false)] {
            let (staged, new) = upload(&store, bytes).await;
            let version = store.publish(staged, new).await.unwrap();
            assert_eq!(version.is_some(), is_first);
            assert_eq!(Arc::strong_count(&store), 1, "it may be closed at once");
        }
        assert_eq!(store.unanswered().await.unwrap(), [""; 0]);
        assert_eq!(store.folder.ids().await.unwrap().len(), 1);
    }

    /// After a failed commit only the next start knows what to do with the bytes.
    #[tokio::test]
    async fn bytes_whose_row_was_not_written_stay_among_the_drafts() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.database().close().await;
        let (staged, new) = upload(&store, b"hello").await;
        assert!(store.publish(staged, new).await.is_err());
        assert_eq!(store.folder.ids().await.unwrap(), [""; 0]);
        assert_eq!(store.folder.coming_bytes().await.unwrap().len(), 1);
        drop(store);
        let store = open(dir.path());
        store.settle().await.unwrap();
        assert_eq!(store.folder.coming_bytes().await.unwrap(), [""; 0]);
        assert_eq!(store.current("main/1").await.unwrap(), None);
    }

    #[test]
    fn ids_are_in_the_order_of_time_and_differ_within_a_moment() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::<Fixed>::default());
        let store = ObjectStore::open(dir.path(), "assets", clock.clone()).unwrap();
        let mut ids = Vec::new();
        for _ in 0..20 {
            let pair = [store.id(), store.id()];
            assert_ne!(pair[0], pair[1]);
            let last = ids.iter().max();
            assert!(pair.iter().all(|id| id.len() == 32 && last < Some(id)), "{last:?} {pair:?}");
            ids.extend(pair);
            clock.pass(TimeDelta::milliseconds(1));
        }
        clock.pass(TimeDelta::days(-40_000));
        assert_eq!(store.id().len(), 32, "also before 1970");
    }
}
