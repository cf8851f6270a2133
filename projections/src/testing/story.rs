//! Histories for tests, built event by event.

use chrono::{DateTime, TimeDelta, Utc};
use ledger::Effects;
use ledger::asset::{Asset, Declaration, Event};
use ledger::chain::Hash;
use ledger::history::History;
use ledger::id::{AssetId, Key, Tenant};
use ledger::journal::Journal;
use ledger::objects::ObjectVersion;
use ledger::record::{Cause, CommandId, EventRecord, EventSource, StoredLine};

/// A clock that does not move, and repeatable randomness.
#[derive(Debug, Clone, Copy)]
pub struct Clock(pub DateTime<Utc>);

impl Default for Clock {
    /// A day in 2024, later than every [`Story`] of less than 86,400 assets and events.
    fn default() -> Self {
        Self(DateTime::UNIX_EPOCH + TimeDelta::days(20_001))
    }
}

impl Effects for Clock {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }

    fn random(&self) -> u128 {
        4
    }
}

/// The events of one asset. Each event is a second after the previous one.
#[derive(Debug, Clone)]
pub struct Story {
    /// The tenant and the id.
    pub key: Key,
    /// The events as stored, oldest first.
    pub lines: Vec<StoredLine>,
    next: DateTime<Utc>,
    actor: String,
}

impl Story {
    /// A plain upload, the `nth` asset of its tenant: a greater one is newer.
    ///
    /// # Panics
    /// If `tenant` is not a tenant's name.
    #[must_use]
    pub fn begin(tenant: &str, nth: u32) -> Self {
        Self::declared(tenant, nth, Declaration::plain())
    }

    /// The same of tenant `main`, created by this actor.
    #[must_use]
    pub fn begun_by(actor: &str, nth: u32) -> Self {
        let Self { key, .. } = Self::begin("main", nth);
        let next = DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(nth.into());
        let story = Self { key, lines: Vec::new(), next, actor: actor.to_owned() };
        story.then(Event::Created(Declaration::plain()))
    }

    /// An asset with a declaration.
    ///
    /// # Panics
    /// If `tenant` is not a tenant's name.
    #[must_use]
    #[allow(clippy::expect_used, reason = "tests name their tenants themselves")]
    pub fn declared(tenant: &str, nth: u32, declaration: Declaration) -> Self {
        let tenant: Tenant = tenant.parse().expect("a tenant's name");
        let begun = DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(nth.into());
        let key = Key { tenant, asset: AssetId::new(begun, u128::from(nth)) };
        let actor = "anonymous".to_owned();
        Self { key, lines: Vec::new(), next: begun, actor }.then(Event::Created(declaration))
    }

    /// Sets the actor of the next events.
    #[must_use]
    pub fn by(mut self, actor: &str) -> Self {
        actor.clone_into(&mut self.actor);
        self
    }

    /// One more event.
    ///
    /// # Panics
    /// Never: an event can always be serialized.
    #[must_use]
    #[allow(clippy::expect_used, reason = "an event's stored form can always be written")]
    pub fn then(mut self, event: Event) -> Self {
        let version = self.lines.len() as u64 + 1;
        let cause = Cause {
            actor: self.actor.clone(),
            source: EventSource::Api,
            request: format!("request {version}"),
            command: CommandId::fresh(version.into()),
        };
        let at = self.next;
        self.next += TimeDelta::seconds(1);
        let prev = self.lines.last().map_or(Hash::ZERO, StoredLine::hash);
        let record = EventRecord { key: self.key.clone(), version, event, cause, at, prev };
        self.lines.push(record.line().expect("an event can be written"));
        self
    }

    /// Bytes arrived.
    #[must_use]
    pub fn received(self) -> Self {
        let version_id = format!("object {}", self.lines.len());
        let etag = "5eb63bbbe01eeed093cb22bb8f5acdc3".to_owned();
        self.then(Event::Received(ObjectVersion { version_id, size: 11, sha256: None, etag }))
    }

    /// The upload was confirmed.
    #[must_use]
    pub fn uploaded(self) -> Self {
        self.then(Event::Uploaded)
    }

    /// The asset was hidden, for a reason.
    #[must_use]
    pub fn deleted(self) -> Self {
        self.then(Event::SoftDeleted { reason: Some("a duplicate 👯".to_owned()) })
    }

    /// The asset was purged, from the request to the end.
    #[must_use]
    pub fn purged(self) -> Self {
        self.then(Event::PurgeRequested).then(Event::Purged)
    }

    /// Only the first of the events; the next event differs from the one that was cut.
    #[must_use]
    pub fn first(&self, events: usize) -> Self {
        Self { lines: self.lines[..events].to_vec(), ..self.clone() }
    }

    /// The number of events.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The history.
    ///
    /// # Panics
    /// If the events make no history.
    #[must_use]
    #[allow(clippy::expect_used, reason = "tests ask for what they told")]
    pub fn history(&self) -> History {
        let history = History::read(&self.key, self.lines.clone()).expect("a history");
        history.expect("an event")
    }

    /// The asset after its first `version` events.
    ///
    /// # Panics
    /// If there are fewer, or they make no history.
    #[must_use]
    #[allow(clippy::expect_used, reason = "tests ask for what they told")]
    pub fn at(&self, version: u64) -> Asset {
        let history = History::read(&self.key, self.lines.clone()).expect("a history");
        history.and_then(|history| history.at_version(version)).expect("a version of it")
    }

    /// The current state of the asset.
    ///
    /// # Panics
    /// If the events make no history.
    #[must_use]
    pub fn asset(&self) -> Asset {
        self.at(self.version())
    }

    /// Appends every event, in order, or finds it already stored.
    ///
    /// # Panics
    /// If the journal fails.
    #[allow(clippy::expect_used, reason = "tests that want failures append by themselves")]
    pub async fn append_to(&self, journal: &dyn Journal) {
        for line in &self.lines {
            journal.append(&self.key, line.clone()).await.expect("an append");
        }
    }
}
