//! The progress in each shard.

use std::collections::{BTreeMap, BTreeSet};

use projections::runner::ProjectionHint;

use super::{Listing, ShardPosition, Time};

/// The progress in a shard.
#[derive(Debug)]
pub(super) struct ShardReader {
    pub(super) parent: Option<String>,
    /// Where to continue without an iterator; `None` once the shard was read to its end. An open
    /// shard may already have an end in its listing: only reading up to it shows that it is closed.
    pub(super) place: Option<ShardPosition>,
    pub(super) iterator: Option<String>,
    /// Empty pages since the last page with records.
    pub(super) empties: u32,
    /// Read, but not projected yet: a store failed.
    pub(super) pending: Vec<ProjectionHint>,
    /// Everything written before this time is read.
    pub(super) as_of: Option<Time>,
}

impl ShardReader {
    fn new(parent: Option<String>, as_of: Option<Time>) -> Self {
        let (place, iterator) = (Some(ShardPosition::Oldest), None);
        Self { parent, place, iterator, empties: 0, pending: Vec::new(), as_of }
    }

    pub(super) fn is_done(&self) -> bool {
        self.place.is_none() && self.pending.is_empty()
    }
}

/// The shards of a stream.
#[derive(Debug, Default)]
pub(super) struct Shards {
    stream: Option<String>,
    all: BTreeMap<String, ShardReader>,
}

impl Shards {
    /// Updates the shards, and returns whether records were lost: those of a shard that expired
    /// before it was read, or those written while the stream was turned off.
    pub(super) fn update(&mut self, listing: Listing) -> bool {
        let other = self.stream.replace(listing.stream.clone());
        let switched = other.is_some_and(|other| other != listing.stream);
        let ids: BTreeSet<_> = listing.shards.iter().map(|shard| shard.id.clone()).collect();
        let unread =
            |(id, reading): (&String, &ShardReader)| !ids.contains(id) && !reading.is_done();
        let lost = self.all.iter().any(unread);
        self.all.retain(|id, _| ids.contains(id));
        for shard in listing.shards {
            // Changes from before the parent's records are not among this shard's records either.
            let parent = shard.parent.as_ref().and_then(|parent| self.all.get(parent));
            let as_of = parent.and_then(|parent| parent.as_of);
            self.all.entry(shard.id).or_insert_with(|| ShardReader::new(shard.parent, as_of));
        }
        lost || switched
    }

    /// The shards that can be read: their parent was read to its end, or does not exist.
    pub(super) fn ready(&self) -> Vec<String> {
        let done = |id: &String| self.all.get(id).is_none_or(ShardReader::is_done);
        let ready =
            |reading: &ShardReader| !reading.is_done() && reading.parent.as_ref().is_none_or(done);
        let all = self.all.iter().filter(|(_, reading)| ready(reading));
        all.map(|(id, _)| id.clone()).collect()
    }

    /// The progress of `ids`, each mutable on its own.
    pub(super) fn pick<'a>(
        &'a mut self,
        ids: &'a [String],
    ) -> impl Iterator<Item = (&'a String, &'a mut ShardReader)> {
        self.all.iter_mut().filter(|(id, _)| ids.contains(id))
    }

    /// The time before which everything is projected; `None` if unknown for some shard. The records
    /// of a shard with an open parent are later than those of the parent.
    pub(super) fn as_of(&self, now: Time) -> Option<Time> {
        let open = self.ready().into_iter().map(|id| self.all[&id].as_of);
        open.min().unwrap_or(Some(now))
    }
}
