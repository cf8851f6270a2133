//! Checks histories in files: an export against its own heads and manifest, or bare chains.

use ledger::audit::{ExpectedHeads, Finding, FindingKind, inspect_head};
use ledger::chain::Hash;
use ledger::checkpoint::Head;

use super::against::Comparison;
use super::archive::Archive;
use super::form::{ExportManifest, ExportedStreams, MANIFEST};
use super::heads::{JoinedHeads, known};
use super::lines::LineError;
use super::runs::{ExportItem, LineRun, Runs, broken};

/// What was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckSummary {
    /// Assets.
    pub assets: u64,
    /// Events of assets.
    pub events: u64,
    /// Named streams.
    pub streams: u64,
    /// Events of named streams.
    pub stream_events: u64,
    /// The head of the last complete asset or stream.
    pub head: Option<Head>,
}

/// An export's head of a history, and its place.
#[derive(Clone, Copy)]
struct ListedHead<'a> {
    head: Option<&'a Head>,
    file: &'a str,
    line: u64,
}

/// Called with each finding.
pub type FindingObserver<'a> = &'a mut dyn FnMut(Finding);
/// Called with the number of checked events.
pub type CheckObserver<'a> = &'a mut dyn FnMut(u64);

/// Checks every history of an export: exactly those of the heads must be there, and the heads must
/// match the manifest's counts.
pub fn check(
    archive: &Archive,
    tell: FindingObserver<'_>,
    seen: CheckObserver<'_>,
) -> anyhow::Result<CheckSummary> {
    check_against(archive, None, tell, seen)
}

/// The same, also against a checkpoint: the compared histories are the checked ones.
pub fn check_against(
    archive: &Archive,
    mut against: Option<&mut Comparison<'_>>,
    tell: FindingObserver<'_>,
    seen: CheckObserver<'_>,
) -> anyhow::Result<CheckSummary> {
    let heads = archive.heads().map(JoinedHeads::new);
    let Some(mut assets) = unless_broken(heads, tell)? else { return Ok(CheckSummary::default()) };
    let heads = archive.stream_heads().map(JoinedHeads::new);
    let Some(mut streams) = unless_broken(heads, tell)? else { return Ok(CheckSummary::default()) };
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
        let joined = if run.is_of_stream() { &mut streams } else { &mut assets };
        let sought = joined.seek(Some(&run.chain.partition));
        let Some((wrong, head)) = unless_broken(sought, tell)? else { return Ok(checked) };
        wrong.into_iter().for_each(&mut *tell);
        let listed = ListedHead { head: head.as_ref(), file: joined.name(), line: joined.line() };
        checked.take(&run, Some(listed), tell);
        if let Some(against) = &mut against {
            against.run(&run, tell)?;
        }
        seen(checked.all_events());
    }
    for joined in [&mut assets, &mut streams] {
        let Some((wrong, _)) = unless_broken(joined.seek(None), tell)? else { return Ok(checked) };
        wrong.into_iter().for_each(&mut *tell);
    }
    agree(archive.manifest(), &checked, [&assets, &streams], tell);
    Ok(checked)
}

impl CheckSummary {
    /// Checks chains without heads, perhaps against a checkpoint.
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
            seen(checked.all_events());
        }
        Ok(checked)
    }

    /// Events of assets and of named streams.
    #[must_use]
    pub fn all_events(&self) -> u64 {
        self.events + self.stream_events
    }

    /// Checks one history; `listed` is the export's head of it.
    fn take(&mut self, run: &LineRun, listed: Option<ListedHead<'_>>, tell: FindingObserver<'_>) {
        let head = listed.and_then(|listed| listed.head);
        let seen: Vec<ExpectedHeads> = head.map(known).into_iter().collect();
        let (own, findings) = inspect_head(&run.chain, &seen);
        let (count, events) = if run.is_of_stream() {
            (&mut self.streams, &mut self.stream_events)
        } else {
            (&mut self.assets, &mut self.events)
        };
        *count += 1;
        *events += (run.chain.lines.len() + run.chain.strays.len()) as u64;
        let odd =
            |it: &Finding| matches!(it.kind, FindingKind::OddSpelling | FindingKind::OverLimit);
        let sound = findings.iter().all(odd);
        let alone = own.is_some() && !sound;
        let differs = sound && own.as_ref() != head;
        for finding in findings {
            // The history is a chain: the head may have been altered.
            let or = match listed {
                Some(ListedHead { file, line, .. }) if alone && !odd(&finding) => {
                    format!(", or {file}:{line}: is wrong")
                }
                _ => String::new(),
            };
            let finding = run.locate(finding);
            tell(Finding { says: finding.says + &or, ..finding });
        }
        if let (Some(listed), true) = (listed, differs) {
            tell(run.locate(unlisted(run, own.as_ref(), listed)));
        }
        if run.again {
            tell(run.locate(again(run)));
        }
        self.head = own.or(self.head.take());
    }
}

/// An asset that is out of order, or occurs twice.
fn again(run: &LineRun) -> Finding {
    let of = if run.is_of_stream() { "stream" } else { "asset" };
    let says =
        format!("this {of} comes twice, or after one that sorts after it: were files joined?");
    Finding::new(FindingKind::Inserted, &run.chain.partition, says)
}

/// A sound history without a head in the export, or with another one.
fn unlisted(run: &LineRun, own: Option<&Head>, listed: ListedHead<'_>) -> Finding {
    let version = |head: Option<&Head>| head.map_or(0, |head| head.version);
    let hash = |head: Option<&Head>| head.map(|head| head.hash);
    let ListedHead { head, file, line } = listed;
    let (is, listed) = (version(own), version(head));
    let (kind, at, says) = if listed > is {
        // Its hash is that of a stored event, so nothing was cut off.
        let says = format!("{file}:{line}: names it version {listed}");
        (FindingKind::Edited, is, says)
    } else {
        let of = if run.is_of_stream() { "stream" } else { "asset" };
        let says = format!("{file} knows {listed} events of this {of}, and no more");
        (FindingKind::Inserted, listed + 1, says)
    };
    Finding::new(kind, &run.chain.partition, says).at(at).hashes(hash(head), hash(own))
}

/// Compares the manifest with the counts.
fn agree(
    manifest: &ExportManifest,
    checked: &CheckSummary,
    [assets, streams]: [&JoinedHeads; 2],
    tell: FindingObserver<'_>,
) {
    let mut differ = |what: &str, said: &dyn ToString, is: &dyn ToString| {
        if said.to_string() != is.to_string() {
            let (said, is) = (said.to_string(), is.to_string());
            let says = format!("{MANIFEST}: it says {what} {said}, and it is {is}");
            tell(Finding::new(FindingKind::Edited, MANIFEST, says));
        }
    };
    differ("assets:", &manifest.assets, &assets.count());
    differ("events:", &manifest.events, &checked.events);
    differ("root:", &manifest.root, &assets.rising().root() as &Hash);
    let ExportedStreams { count, events, root } = manifest.streams.clone().unwrap_or_default();
    differ("streams:", &count, &streams.count());
    differ("events of streams:", &events, &checked.stream_events);
    differ("root of streams:", &root, &streams.rising().root() as &Hash);
}

/// The value that was read, or none if the file is broken, which is then reported.
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
