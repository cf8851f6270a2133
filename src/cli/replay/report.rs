//! What a replay tells in the end.

use std::io::{self, Write};

use chrono::{DateTime, TimeDelta, Utc};
use ledger::audit::Finding;
use ledger::id::{AssetId, Tenant};
use ledger::time;
use projections::Generation;
use projections::replay::{Difference, ReplayReport};

use crate::cli::render;
use crate::plural::count;

/// Why the new rows are not read.
pub(super) const REFUSED: &str = "the rows stay as they were: made from this journal, new ones \
    could hide that it was tampered with. `asset-ledger verify` tells more. If it is known why, \
    --accept-restored switches from rows that know more than the journal, and keeps them; \
    --accept-broken also where histories do not verify";
/// The same of a dry run.
pub(super) const WOULD_REFUSE: &str = "nothing was changed, and nothing would be: made from this \
    journal, new rows could hide that it was tampered with. `asset-ledger verify` tells more";

const KINDS: [(Difference, &str); 9] = [
    (Difference::Same, "the same"),
    (Difference::Lagging, "lag behind the journal"),
    (Difference::Missing, "missing"),
    (Difference::Altered, "altered: same event, other attributes"),
    (Difference::Unreadable, "unreadable"),
    (Difference::Expired, "expired tombstones, left out"),
    (Difference::Rewritten, "of an event that the journal does not have"),
    (Difference::Beyond, "know later events than the journal has"),
    (Difference::Orphaned, "of assets that the journal does not know"),
];

/// Writes what was found.
pub(super) fn write(report: &ReplayReport, home: &Tenant) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let ReplayReport { events, assets, broken, broken_count, unknown, unknown_count, differences } =
        report;
    let (events, assets) = (count(*events, "event"), count(*assets, "asset"));
    writeln!(out, "{events} of {assets}. The rows that are read, beside the new:")?;
    for (difference, name) in KINDS {
        let count = differences.count(difference);
        if count > 0 || difference == Difference::Same {
            writeln!(out, "  {count:>10} {name}")?;
        }
    }
    for (partition, difference) in &differences.named {
        let asset = render::asset(partition, home);
        writeln!(out, "  {asset}: {}", told(*difference))?;
    }
    if *broken_count > 0 {
        let do_not = if *broken_count == 1 { "history does" } else { "histories do" };
        writeln!(out, "  {broken_count:>10} {do_not} not verify")?;
    }
    for broken in broken {
        let (partition, why) = (render::line(&broken.partition), render::line(&broken.why));
        writeln!(out, "  {partition}: {why}")?;
    }
    if *unknown_count > 0 {
        writeln!(
            out,
            "  {unknown_count:>10} with events of a newer version: no rows until a newer \
             asset-ledger makes them"
        )?;
    }
    for unknown in unknown {
        let (partition, why) = (render::line(&unknown.partition), render::line(&unknown.why));
        writeln!(out, "  {partition}: {why}")?;
    }
    Ok(())
}

/// Writes what is read now, and how to take that back.
pub(super) fn switched(
    to: Generation,
    keep: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "generation {to} is read: within five seconds by every process")?;
    match keep {
        None => Ok(()),
        Some(keep) => writeln!(
            out,
            "the one before is kept until {}: --rollback goes back to it, --clean lets go of it",
            time::format(now + keep)
        ),
    }
}

/// Writes what is read now that a restored journal was accepted.
pub(super) fn accepted(to: Generation) -> io::Result<()> {
    writeln!(
        io::stdout(),
        "generation {to} is read: within five seconds by every process. The rows before it are \
         kept as evidence of what the other journal knew, until --clean removes them"
    )
}

/// Why the row of an asset was left as it is.
pub(super) fn disputed(asset: AssetId, findings: &[Finding]) -> String {
    let told = findings.iter().map(|it| format!("{}, {}", it.kind, it.says));
    let told = told.collect::<Vec<_>>().join("; ");
    format!(
        "the row of {asset} and its events speak against each other ({told}). It may be the \
         journal that was changed, so the row was left as it is: `asset-ledger verify` tells more, \
         and --accept-restored accepts the journal's version"
    )
}

fn told(difference: Difference) -> &'static str {
    KINDS.iter().find(|(of, _)| *of == difference).map_or("differs", |(_, name)| name)
}
