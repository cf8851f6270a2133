//! The progress of a replay.

use projections::replay::{Phase, Replay, TallySnapshot};
use tokio::time::Instant;

use crate::cli::progress;

/// Runs the work and shows its progress.
pub(super) fn beside<T>(replay: &Replay, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let work = Box::pin(work);
    async move {
        // Only to estimate the duration: without it the replay runs as well.
        let events = replay.journal.size().await.ok().flatten();
        let (began, first) = (Instant::now(), replay.tally.seen().events);
        let text = || {
            let seen = replay.tally.seen();
            // The progress of an earlier replay took no time of this one.
            let rate = (seen.events - first) / began.elapsed().as_secs().max(1);
            line(&seen, events, rate)
        };
        progress::beside(work, text).await
    }
}

fn line(seen: &TallySnapshot, all: Option<u64>, rate: u64) -> String {
    let left = all.filter(|_| seen.phase == Phase::Filling).map(|all| {
        let seconds = all.saturating_sub(seen.events) / rate.max(1);
        format!(", {rate} events/s, about {seconds} s left")
    });
    let (name, left) = (name(seen.phase), left.unwrap_or_default());
    let TallySnapshot { events, assets, compared, .. } = seen;
    format!("{name}: {events} events, {assets} rows, {compared} compared{left}")
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Beginning => "looking for another replay",
        Phase::Filling => "events",
        Phase::Comparing => "comparing rows",
        Phase::Switching => "switching",
    }
}
