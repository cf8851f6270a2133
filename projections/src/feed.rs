//! What happened to any asset, for whoever wants to follow along: the port to the events across
//! assets. A journal that knows the order in which it took its events is its own feed; for one
//! that does not, the projection writes lanes.

mod announcer;
mod arrivals;
mod event_header;
mod lane_positions;
mod laned;
mod lanes;

use std::fmt;

use async_trait::async_trait;
use ledger::StoreError;
use ledger::id::{Key, Tenant};
use ledger::record::StoredLine;

pub use announcer::{Announcement, Announcer};
pub use arrivals::ArrivalFeed;
pub use event_header::EventHeader;
pub use laned::LanedFeed;
pub use lanes::{FeedLane, LANES, LaneEntry, LaneWrite, Lanes, MemoryLanes};

/// How far a reader has come. Its text means something only to the feed that gave it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedCursor(pub String);

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which events a page is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedQuery {
    /// Whose assets.
    pub tenant: Tenant,
    /// Where the page before ended; from the first event if there was none.
    pub after: Option<FeedCursor>,
    /// Events at most, and at least 1.
    pub limit: usize,
    /// Only events of this type.
    pub kind: Option<String>,
    /// Only what this actor did.
    pub actor: Option<String>,
}

impl FeedQuery {
    /// Whether an event is one of those that are asked for.
    fn wants(&self, kind: &str, actor: &str) -> bool {
        let is = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|it| it == is);
        is(&self.kind, kind) && is(&self.actor, actor)
    }

    fn filters(&self) -> bool {
        self.kind.is_some() || self.actor.is_some()
    }
}

/// An event and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// Whose.
    pub key: Key,
    /// The event as it is stored; an [`EventHeader`] can be read from it.
    pub line: StoredLine,
}

/// Some events, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// The events. There may be few or none although more follow.
    pub events: Vec<FeedEvent>,
    /// Where to go on, now or later; always given, so that a reader can ask again.
    pub next: FeedCursor,
    /// Whether more is known to be there already.
    pub more: bool,
}

/// Why there is no page.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FeedError {
    /// The cursor was given out by another feed, or for a store that has been replaced since: what
    /// it stands for is not what lies before it here.
    #[error("the cursor is no place in this feed")]
    Foreign,
    /// A store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The events of all assets of a tenant, for readers that come again.
///
/// # Contract
/// * Walking by `next` gives every event of the journal at least once, however often the reader
///   pauses, whatever is appended meanwhile, and whatever fails: an event appears, sooner or
///   later, after every cursor that was given out before it did.
/// * The events of one asset appear first in the order of their versions. Between assets no order
///   is promised.
/// * What is given is what the journal holds; stored bytes that are no event are nobody's news and
///   are passed over.
/// * A filtered page may be short or empty, and its cursor moves on all the same.
/// * Tenants do not see each other's events.
#[async_trait]
pub trait Feed: Send + Sync {
    /// The next events.
    async fn page(&self, query: &FeedQuery) -> Result<FeedPage, FeedError>;
}
