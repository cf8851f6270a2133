//! How far each shard was read.

use std::collections::{BTreeMap, BTreeSet};

use projections::runner::ProjectionHint;

use super::{Listing, ShardPosition, Time};

/// How far a shard was read.
#[derive(Debug)]
pub(super) struct ShardReader {
    pub(super) parent: Option<String>,
    /// Where to read on if there is no iterator; `None` once it was read to its end. A shard that
    /// is still open may already say where it ends: only reading to there tells that it has.
    pub(super) place: Option<ShardPosition>,
    pub(super) iterator: Option<String>,
    /// Pages without records since the last one with some.
    pub(super) empties: u32,
    /// Read, but not yet rows: a store did not answer.
    pub(super) pending: Vec<ProjectionHint>,
    /// Everything written before this is read.
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
    /// Takes note of what there is now, and says whether records were lost: those of a shard that
    /// went before it was read, or those written while the stream was switched off.
    pub(super) fn update(&mut self, listing: Listing) -> bool {
        let other = self.stream.replace(listing.stream.clone());
        let switched = other.is_some_and(|other| other != listing.stream);
        let ids: BTreeSet<_> = listing.shards.iter().map(|shard| shard.id.clone()).collect();
        let unread =
            |(id, reading): (&String, &ShardReader)| !ids.contains(id) && !reading.is_done();
        let lost = self.all.iter().any(unread);
        self.all.retain(|id, _| ids.contains(id));
        for shard in listing.shards {
            // What was written before its parent's records is no record of its own either.
            let parent = shard.parent.as_ref().and_then(|parent| self.all.get(parent));
            let as_of = parent.and_then(|parent| parent.as_of);
            self.all.entry(shard.id).or_insert_with(|| ShardReader::new(shard.parent, as_of));
        }
        lost || switched
    }

    /// The shards that can be read on: those whose parent was read to its end, or is not there.
    pub(super) fn ready(&self) -> Vec<String> {
        let done = |id: &String| self.all.get(id).is_none_or(ShardReader::is_done);
        let ready =
            |reading: &ShardReader| !reading.is_done() && reading.parent.as_ref().is_none_or(done);
        let all = self.all.iter().filter(|(_, reading)| ready(reading));
        all.map(|(id, _)| id.clone()).collect()
    }

    /// The readings of `ids`, each to be changed on its own.
    pub(super) fn pick<'a>(
        &'a mut self,
        ids: &'a [String],
    ) -> impl Iterator<Item = (&'a String, &'a mut ShardReader)> {
        self.all.iter_mut().filter(|(id, _)| ids.contains(id))
    }

    /// The time before which everything is a row; `None` if that is not known of some shard. What
    /// a shard holds whose parent is still open was written later than what the parent holds.
    pub(super) fn as_of(&self, now: Time) -> Option<Time> {
        let open = self.ready().into_iter().map(|id| self.all[&id].as_of);
        open.min().unwrap_or(Some(now))
    }
}
