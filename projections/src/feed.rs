//! The port to the events of all assets, in an order that readers can follow. A journal with an
//! order of arrival is its own feed. For another journal, the projection writes lanes.

mod announcer;
mod arrivals;
mod event_header;
mod lane_positions;
mod laned;
mod lanes;
mod retention;

use std::fmt;

use async_trait::async_trait;
use ledger::StoreError;
use ledger::id::{Key, Tenant};
use ledger::record::StoredLine;

pub use announcer::{Announcement, Announcer};
pub use arrivals::ArrivalFeed;
pub use event_header::EventHeader;
pub use laned::LanedFeed;
pub use lanes::{FeedLane, LANES, LaneEntry, LaneWrite, Lanes};
pub use retention::{FeedRetention, FeedWeek};

/// A reader's position. Its text has a meaning only for the feed that issued it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedCursor(pub String);

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The events of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedQuery {
    /// The tenant of the assets.
    pub tenant: Tenant,
    /// The end of the previous page; from the first event that is kept if `None`.
    pub after: Option<FeedCursor>,
    /// The maximum number of events; at least 1.
    pub limit: usize,
    /// Only events of this type.
    pub kind: Option<String>,
    /// Only events of this actor.
    pub actor: Option<String>,
}

impl FeedQuery {
    /// Whether the query selects an event.
    fn wants(&self, kind: &str, actor: &str) -> bool {
        let is = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|it| it == is);
        is(&self.kind, kind) && is(&self.actor, actor)
    }

    fn filters(&self) -> bool {
        self.kind.is_some() || self.actor.is_some()
    }
}

/// An event and its asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// The asset.
    pub key: Key,
    /// The stored event; an [`EventHeader`] can be read from it.
    pub line: StoredLine,
}

/// Some events, and the position after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// The events. There may be few or none even if more follow.
    pub events: Vec<FeedEvent>,
    /// The position to continue from; always present, so that a reader can poll.
    pub next: FeedCursor,
    /// Whether more events are known to exist.
    pub more: bool,
}

/// Why a page failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FeedError {
    /// The cursor is of another feed, or of a store that has been replaced since. Its position does
    /// not exist here.
    #[error("the cursor is no place in this feed")]
    Foreign,
    /// The cursor is older than the feed keeps events: some after it may have expired.
    #[error("events after the cursor may have expired")]
    Expired,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The events of all assets of a tenant, for readers that poll.
///
/// # Contract
/// * Reading page by page with `next` returns every event of the journal at least once, regardless
///   of the reader's pauses, concurrent appends, and failures: an event eventually appears after
///   every cursor that was issued before it.
/// * A feed with a retention begins with the oldest events that it keeps. A cursor at its end is
///   then valid for the retention at least, another one while the next events are kept. After that
///   it is refused as [`FeedError::Expired`]: an event that has expired is never passed over
///   silently.
/// * The events of one asset first appear in the order of their versions. Between assets there is
///   no order.
/// * The feed returns the journal's events. Stored bytes that are not an event are skipped.
/// * A filtered page may be short or empty, and its cursor advances all the same.
/// * Tenants do not see each other's events.
#[async_trait]
pub trait Feed: Send + Sync {
    /// The next page of events.
    async fn page(&self, query: &FeedQuery) -> Result<FeedPage, FeedError>;
}
