//! Checks histories in files: an export against its own heads and manifest, or bare chains.

use ledger::audit::{Examination, ExpectedHeads, Finding, FindingKind, inspect_with};
use ledger::chain::Hash;
use ledger::checkpoint::Head;

use super::against::Comparison;
use super::archive::Archive;
use super::form::{ExportManifest, HEADS, MANIFEST};
use super::heads::{JoinedHeads, known};
use super::lines::LineError;
use super::runs::{ExportItem, LineRun, Runs, broken};

/// What was looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckSummary {
    /// Assets.
    pub assets: u64,
    /// Events.
    pub events: u64,
    /// The head of the last asset that is whole.
    pub head: Option<Head>,
}

/// Whoever hears of findings.
pub type FindingObserver<'a> = &'a mut dyn FnMut(Finding);
/// Whoever hears how many events were looked at.
pub type CheckObserver<'a> = &'a mut dyn FnMut(u64);

/// Checks every history of an export, that all are there which its heads name and no others, and
/// that the heads are those that its manifest counts.
pub fn check(
    archive: &Archive,
    tell: FindingObserver<'_>,
    seen: CheckObserver<'_>,
) -> anyhow::Result<CheckSummary> {
    check_against(archive, None, tell, seen)
}

/// The same, each history also held against a checkpoint: what is compared is what was checked.
pub fn check_against(
    archive: &Archive,
    mut against: Option<&mut Comparison<'_>>,
    tell: FindingObserver<'_>,
    seen: CheckObserver<'_>,
) -> anyhow::Result<CheckSummary> {
    let joined = archive.heads().map(JoinedHeads::new);
    let Some(mut joined) = unless_broken(joined, tell)? else { return Ok(CheckSummary::default()) };
    let mut checked = CheckSummary::default();
    let mut runs = archive.runs();
    while let Some(item) = runs.read()? {
        let run = match item {
            ExportItem::Fault(finding) => {
                tell(finding);
                continue;
            }
            ExportItem::Run(run) => run,
        };
        let sought = joined.seek(Some(&run.chain.partition));
        let Some((wrong, head)) = unless_broken(sought, tell)? else { return Ok(checked) };
        wrong.into_iter().for_each(&mut *tell);
        checked.take(&run, Some((head.as_ref(), joined.line())), tell);
        if let Some(against) = &mut against {
            against.run(&run, tell)?;
        }
        seen(checked.events);
    }
    let Some((wrong, _)) = unless_broken(joined.seek(None), tell)? else { return Ok(checked) };
    wrong.into_iter().for_each(&mut *tell);
    agree(archive.manifest(), &checked, &joined, tell);
    Ok(checked)
}

impl CheckSummary {
    /// Checks chains that nobody kept the heads of, but perhaps a checkpoint.
    pub fn of_runs(
        mut runs: Runs<'_>,
        mut against: Option<&mut Comparison<'_>>,
        tell: FindingObserver<'_>,
        seen: CheckObserver<'_>,
    ) -> anyhow::Result<Self> {
        let mut checked = Self::default();
        while let Some(item) = runs.read()? {
            match item {
                ExportItem::Run(run) => {
                    checked.take(&run, None, tell);
                    if let Some(against) = &mut against {
                        against.run(&run, tell)?;
                    }
                }
                ExportItem::Fault(finding) => tell(finding),
            }
            seen(checked.events);
        }
        Ok(checked)
    }

    /// Checks one history; `listed` is its head as the export has it, and in which line.
    fn take(
        &mut self,
        run: &LineRun,
        listed: Option<(Option<&Head>, u64)>,
        tell: FindingObserver<'_>,
    ) {
        let head = listed.and_then(|(head, _)| head);
        let seen: Vec<ExpectedHeads> = head.map(known).into_iter().collect();
        let Examination { history, findings } = inspect_with(&run.chain, &seen);
        self.assets += 1;
        self.events += (run.chain.lines.len() + run.chain.strays.len()) as u64;
        let own = history.as_ref().map(|history| Head::of(history.asset()));
        let odd =
            |it: &Finding| matches!(it.kind, FindingKind::OddSpelling | FindingKind::OverLimit);
        let sound = findings.iter().all(odd);
        let alone = own.is_some() && !sound;
        let differs = sound && own.as_ref() != head;
        for finding in findings {
            let line = listed.map_or(0, |(_, line)| line);
            // The history hangs together: what was altered may be the head.
            let or = if alone && !odd(&finding) {
                format!(", or {HEADS}:{line}: is wrong")
            } else {
                String::new()
            };
            let finding = run.locate(finding);
            tell(Finding { says: finding.says + &or, ..finding });
        }
        if let (Some((_, line)), true) = (listed, differs) {
            tell(run.locate(unlisted(run, own.as_ref(), head, line)));
        }
        if run.again {
            tell(run.locate(again(run)));
        }
        self.head = own.or(self.head.take());
    }
}

/// An asset that comes after one that it should come before, or twice.
fn again(run: &LineRun) -> Finding {
    let says = "this asset comes twice, or after one that sorts after it: were files joined?";
    Finding::new(FindingKind::Inserted, &run.chain.partition, says)
}

/// A sound history that the export's heads do not have, or not to this end.
fn unlisted(run: &LineRun, own: Option<&Head>, head: Option<&Head>, line: u64) -> Finding {
    let version = |head: Option<&Head>| head.map_or(0, |head| head.version);
    let hash = |head: Option<&Head>| head.map(|head| head.hash);
    let (is, listed) = (version(own), version(head));
    let (kind, at, says) = if listed > is {
        // Its hash is that of an event which is here, so nothing was cut off.
        let says = format!("{HEADS}:{line}: names it version {listed}");
        (FindingKind::Edited, is, says)
    } else {
        let says = format!("{HEADS} knows {listed} events of this asset, and no more");
        (FindingKind::Inserted, listed + 1, says)
    };
    Finding::new(kind, &run.chain.partition, says).at(at).hashes(hash(head), hash(own))
}

/// Whether the manifest counts what was counted.
fn agree(
    manifest: &ExportManifest,
    checked: &CheckSummary,
    heads: &JoinedHeads,
    tell: FindingObserver<'_>,
) {
    let mut differ = |what: &str, said: &dyn ToString, is: &dyn ToString| {
        if said.to_string() != is.to_string() {
            let (said, is) = (said.to_string(), is.to_string());
            let says = format!("{MANIFEST}: it says {what} {said}, and it is {is}");
            tell(Finding::new(FindingKind::Edited, MANIFEST, says));
        }
    };
    differ("assets:", &manifest.assets, &heads.count());
    differ("events:", &manifest.events, &checked.events);
    differ("root:", &manifest.root, &heads.rising().root() as &Hash);
}

/// What was read, or nothing if the file is not as it was written, which is then told.
fn unless_broken<T>(
    read: anyhow::Result<T>,
    tell: FindingObserver<'_>,
) -> anyhow::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) => {
            tell(broken(&error.downcast::<LineError>()?));
            Ok(None)
        }
    }
}
