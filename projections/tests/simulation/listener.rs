//! A listener that follows all assets: it misses no event and receives each asset's events in their
//! order, despite faults and crashes of announcers.

use std::sync::Arc;

use ledger::testing::Faulty;
use projections::Feed as _;
use projections::feed::{Announcer, FeedEvent, FeedQuery, LanedFeed, Lanes};
use projections::testing::{Clock, walk};

use crate::actors::{ROUNDS, pause};
use crate::world::{SimulatedStore, SimulatedTable, Simulation};

impl<J: SimulatedStore, V: SimulatedTable> Simulation<J, V> {
    fn distant(&self) -> Arc<dyn Lanes> {
        Arc::new(Faulty::new(self.lanes.clone(), self.faults.clone()))
    }

    /// An announcer that is independent of others.
    pub(crate) fn announcer(&self) -> Announcer {
        Announcer::new(self.distant(), Arc::new(Clock::default()))
    }

    fn query(&self, limit: u64) -> FeedQuery {
        let (tenant, after) = (self.tenant.clone(), self.seen().listened.clone());
        let limit = usize::try_from(limit).unwrap();
        FeedQuery { tenant, after, limit, kind: None, actor: None }
    }

    fn hear(&self, events: Vec<FeedEvent>) {
        for FeedEvent { key, line } in events {
            let mut seen = self.seen();
            seen.told += 1;
            let heard = seen.heard.entry(key.clone()).or_default();
            let next = *heard + 1;
            *heard = next.min(line.version.max(*heard));
            if line.version > next {
                let told = format!("{}: {} was heard before {next}", key.asset, line.version);
                seen.violations.push(told);
            }
        }
    }

    /// Reads the feed to its end, and checks that no event was missed.
    pub(crate) async fn hear_out(&self) {
        let feed =
            LanedFeed::new(self.lanes.clone(), self.journal.clone(), Arc::new(Clock::default()));
        self.hear(walk(&feed, self.query(7)).await.0);
        for arrival in self.arrived().await {
            let heard = self.seen().heard.get(&arrival.key).copied().unwrap_or(0);
            let version = arrival.line.unwrap().version;
            if heard < version {
                let (asset, missed) = (arrival.key.asset, version);
                self.violated(format!("{asset}: {missed} was never heard of"));
            }
        }
    }
}

/// Polls, and continues after its cursor.
pub(crate) async fn listener<J: SimulatedStore, V: SimulatedTable>(world: Arc<Simulation<J, V>>) {
    let journal = Faulty::new(world.journal.clone(), world.faults.clone());
    let feed = LanedFeed::new(world.distant(), Arc::new(journal), Arc::new(Clock::default()));
    for _ in 0..ROUNDS {
        pause(&world, 15).await;
        let query = world.query(1 + world.chance.below(8));
        if let Ok(page) = feed.page(&query).await {
            world.hear(page.events);
            world.seen().listened = Some(page.next);
        }
    }
}
