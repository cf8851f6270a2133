//! The final report of a replay.

use std::io::{self, Write};

use chrono::{DateTime, TimeDelta, Utc};
use ledger::audit::Finding;
use ledger::id::Tenant;
use ledger::time;
use projections::Generation;
use projections::replay::{Difference, ReplayReport};

use crate::cli::render;
use crate::plural::count;

/// Why there was no switch to the new rows.
pub(super) const REFUSED: &str = "the rows were not switched: new rows from this journal could \
    hide tampering. Run `asset-ledger verify`. If the cause is known, --accept-restored switches \
    although rows know more events than the journal, and keeps the old rows; --accept-broken \
    switches although histories do not verify, too";
/// The same of a dry run.
pub(super) const WOULD_REFUSE: &str = "nothing was changed, and a replay would be refused: new \
    rows from this journal could hide tampering. Run `asset-ledger verify`";

const KINDS: [(Difference, &str); 9] = [
    (Difference::Same, "unchanged"),
    (Difference::Lagging, "lagging: the journal has later events"),
    (Difference::Missing, "missing"),
    (Difference::Altered, "altered: same event, other attributes"),
    (Difference::Unreadable, "unreadable"),
    (Difference::Expired, "expired tombstones, omitted"),
    (Difference::Rewritten, "rewritten: the row's event is not in the journal"),
    (Difference::Beyond, "beyond: the journal ends before the row's event"),
    (Difference::Orphaned, "orphaned: the journal has no event of the asset"),
];

/// Writes the findings.
pub(super) fn write(report: &ReplayReport, home: &Tenant) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let ReplayReport { events, assets, broken, broken_count, unknown, unknown_count, differences } =
        report;
    let (events, assets) = (count(*events, "event"), count(*assets, "asset"));
    writeln!(out, "{events} of {assets}. Current rows compared with new rows:")?;
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
            "  {unknown_count:>10} with events of a newer format: a newer asset-ledger must \
             project them"
        )?;
    }
    for unknown in unknown {
        let (partition, why) = (render::line(&unknown.partition), render::line(&unknown.why));
        writeln!(out, "  {partition}: {why}")?;
    }
    Ok(())
}

/// Writes the current generation, and how to undo the switch.
pub(super) fn switched(
    to: Generation,
    keep: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "generation {to} is current: every process reads it within five seconds")?;
    match keep {
        None => Ok(()),
        Some(keep) => writeln!(
            out,
            "the previous rows are kept until {}: --rollback returns to them, --clean removes them",
            time::format(now + keep)
        ),
    }
}

/// Writes the current generation after a restored journal was accepted.
pub(super) fn accepted(to: Generation) -> io::Result<()> {
    writeln!(
        io::stdout(),
        "generation {to} is current: every process reads it within five seconds. The previous \
         rows are kept as evidence of the earlier journal until --clean removes them"
    )
}

/// Why the row of an asset was left unchanged.
pub(super) fn disputed(asset: &str, findings: &[Finding]) -> String {
    let told = findings.iter().map(|it| format!("{}, {}", it.kind, it.says));
    let told = told.collect::<Vec<_>>().join("; ");
    format!(
        "the row of {asset} and its events contradict each other ({told}). The journal may have \
         been changed, so the row was not changed. Run `asset-ledger verify` for details; \
         --accept-restored rebuilds the row from the journal"
    )
}

fn told(difference: Difference) -> &'static str {
    KINDS.iter().find(|(of, _)| *of == difference).map_or("differs", |(_, name)| name)
}
