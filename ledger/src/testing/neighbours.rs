//! Tenants that work in the same store while a suite of the tenant `main` runs. Their names begin
//! like its name, as `a-b` and `aa` begin like `a`, and their assets have the ids of its assets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use super::journal::{answer, key, line};
use super::{persist, streams};
use crate::journal::{Appended, Journal};

/// The names of the neighbours.
pub const NEIGHBOURS: [&str; 2] = ["main-b", "maina"];

/// Assets of each neighbour: more than the suite of the journal has.
const ASSETS: u128 = 14;
/// Events of each of their assets.
const VERSIONS: u64 = 20;

/// Runs a suite of `journal` while the neighbours write and read there. It is for them as for it:
/// each finds what it wrote, and nothing else.
///
/// # Panics
/// If a neighbour finds anything else, or had no time to.
pub async fn beside<J: Journal + 'static>(journal: Arc<J>, suite: impl Future<Output = ()>) {
    let over = Arc::new(AtomicBool::new(false));
    let mut neighbours = JoinSet::new();
    for tenant in NEIGHBOURS {
        write_all(&*journal, tenant, 1).await;
        let (journal, over) = (Arc::clone(&journal), Arc::clone(&over));
        neighbours.spawn(async move {
            for version in 2..=VERSIONS {
                write_all(&*journal, tenant, version).await;
                if over.load(Ordering::Relaxed) {
                    return version;
                }
            }
            VERSIONS
        });
    }
    suite.await;
    over.store(true, Ordering::Relaxed);
    for versions in neighbours.join_all().await {
        assert!(versions > 1, "the neighbours had no time");
    }
}

/// Writes this version of every asset of a neighbour, and of its stream, and reads all back.
async fn write_all(journal: &dyn Journal, tenant: &str, version: u64) {
    let (stream, events) = streams::access(&answer(tenant.parse()));
    let assets = (1..=ASSETS).map(|of| key(tenant, of).into());
    for partition in assets.chain([stream.clone()]) {
        let text = |version| line(version, &format!("{version} of {}", partition.partition()));
        let mut expected: Vec<_> = (1..=version).map(text).collect();
        if partition == stream {
            expected.truncate(events.len());
            expected = events[..expected.len()].to_vec();
        }
        let Some(last) = expected.last() else { continue };
        match answer(persist(|| journal.append_to(&partition, last.clone())).await) {
            Appended::Written => {}
            Appended::Taken(held) => assert_eq!(held, *last),
        }
        assert_eq!(answer(persist(|| journal.history_of(&partition)).await), expected);
        assert_eq!(answer(persist(|| journal.last_of(&partition)).await).as_ref(), Some(last));
    }
}
