//! How far a replay has come: a bar on a terminal, plain lines otherwise.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use projections::replay::{Phase, Replay, ReplayTally, TallySnapshot};
use tokio::time::{Instant, interval, sleep};

/// How often a bar moves.
const MOVE: Duration = Duration::from_millis(100);
/// How often a line is written where nobody looks at a terminal.
const LINE: Duration = Duration::from_secs(5);

/// Does the work, and shows meanwhile how far it has come.
pub(super) async fn beside<T>(replay: &Replay, work: impl Future<Output = T>) -> T {
    // Only to tell how long it takes: not to know is no reason not to begin.
    let events = replay.scan.size().await.ok().flatten();
    tokio::select! {
        done = work => done,
        never = show(&replay.tally, events) => never,
    }
}

async fn show<T>(tally: &ReplayTally, events: Option<u64>) -> T {
    if io::stderr().is_terminal() { bars(tally, events).await } else { lines(tally, events).await }
}

/// It never ends; dropped with the work, it takes its bar off the screen.
async fn bars<T>(tally: &ReplayTally, events: Option<u64>) -> T {
    let bar = WipedBar(ProgressBar::new_spinner());
    let (mut phase, mut ticks) = (None, interval(MOVE));
    loop {
        ticks.tick().await;
        let seen = tally.seen();
        if phase != Some(seen.phase) {
            phase = Some(seen.phase);
            dress(&bar.0, &seen, events);
        }
        bar.0.set_position(done(&seen));
    }
}

/// A bar where its end is known.
fn dress(bar: &ProgressBar, seen: &TallySnapshot, events: Option<u64>) {
    let total = match seen.phase {
        Phase::Filling => events,
        Phase::Comparing => Some(seen.assets),
        Phase::Beginning | Phase::Switching => None,
    };
    let template = match total {
        Some(_) => "{msg} {bar:32} {human_pos}/{human_len}, {per_sec}, {eta} left",
        None => "{spinner} {msg} {human_pos}, {per_sec}",
    };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()));
    bar.set_message(name(seen.phase));
    bar.reset();
    bar.set_length(total.unwrap_or_default());
    // What an earlier replay did took no time of this one.
    bar.set_position(done(seen));
    bar.reset_eta();
}

async fn lines<T>(tally: &ReplayTally, events: Option<u64>) -> T {
    let (began, first) = (Instant::now(), tally.seen().events);
    loop {
        sleep(LINE).await;
        let seen = tally.seen();
        let rate = (seen.events - first) / began.elapsed().as_secs().max(1);
        let left = events.filter(|_| seen.phase == Phase::Filling).map(|all| {
            let seconds = all.saturating_sub(seen.events) / rate.max(1);
            format!(", {rate} events/s, about {seconds} s left")
        });
        let (name, left) = (name(seen.phase), left.unwrap_or_default());
        let TallySnapshot { events, assets, compared, .. } = seen;
        // Whoever took the pipe away does not wait for lines.
        let _ = writeln!(
            io::stderr(),
            "{name}: {events} events, {assets} rows, {compared} compared{left}"
        );
    }
}

fn done(seen: &TallySnapshot) -> u64 {
    if seen.phase == Phase::Comparing { seen.compared } else { seen.events }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Beginning => "looking for another replay",
        Phase::Filling => "events",
        Phase::Comparing => "comparing rows",
        Phase::Switching => "switching",
    }
}

struct WipedBar(ProgressBar);

impl Drop for WipedBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
