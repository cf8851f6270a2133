//! Reads the histories of a journal that verify, by rising key.

use anyhow::{Context, ensure};
use ledger::audit::{Examination, Finding, inspect_with};
use ledger::checkpoint::SortedHeads;
use ledger::id::{Key, Tenant};
use ledger::journal::Journal;
use ledger::journal::scan::{Chain, Segment};

use super::filter::ExportFilter;
use super::form::{HISTORY, bytes};
use super::sorted::SortedHistories;
use super::writer::ExportWriter;
use crate::plural::count;

/// A journal, and the tenant to read.
#[derive(Clone, Copy)]
pub struct ExportSource<'a> {
    /// The journal.
    pub journal: &'a dyn Journal,
    /// The tenant, or every tenant.
    pub tenant: Option<&'a Tenant>,
}

/// What a checkpoint does about histories that do not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenHistories {
    /// It fails.
    Refuse,
    /// It has no heads of them.
    LeaveOut,
}

/// Observes the reading of histories.
pub trait ExportObserver {
    /// A history was read.
    fn read(&mut self, events: u64);

    /// A history does not verify.
    fn broken(&mut self, findings: Vec<Finding>);

    /// A history verifies, but an importer would refuse it.
    fn too_long(&mut self, partition: &str, bytes: usize);
}

/// Histories that verify, in order. Those that do not are reported.
enum VerifiedHistories<'a> {
    All(SortedHistories<'a>, Option<&'a Tenant>),
    Some(&'a dyn Journal, std::vec::IntoIter<Key>),
}

impl ExportSource<'_> {
    /// Writes the histories that `wanted` takes, or only those of these keys. Returns how many are
    /// left out, as faulty or too long.
    pub async fn export(
        &self,
        keys: Vec<Key>,
        wanted: &ExportFilter,
        writer: &mut ExportWriter,
        hears: &mut impl ExportObserver,
    ) -> anyhow::Result<u64> {
        self.export_up_to(HISTORY, keys, wanted, writer, hears).await
    }

    pub(super) async fn export_up_to(
        &self,
        most: usize,
        keys: Vec<Key>,
        wanted: &ExportFilter,
        writer: &mut ExportWriter,
        hears: &mut impl ExportObserver,
    ) -> anyhow::Result<u64> {
        let (whole, mut left_out) = (self.journal.segments(1).await?, 0);
        let mut taken = self.taken(keys, &whole).await?;
        while let Some(chain) = taken.next().await? {
            if chain.stream().is_some_and(|stream| !wanted.takes_stream(&stream)) {
                continue;
            }
            let (length, sound) = (bytes(&chain.lines), examined(&chain, hears));
            let history = sound.as_ref().and_then(|it| it.history.as_ref());
            if history.is_some_and(|history| !wanted.takes(history)) {
                continue;
            }
            let fits = length <= most;
            match (history, sound.as_ref().and_then(|it| it.head.as_ref())) {
                (Some(history), _) if fits => {
                    writer.add(history)?;
                    continue;
                }
                (None, Some(head)) if fits => {
                    writer.add_stream(head, &chain.lines)?;
                    continue;
                }
                (_, Some(_)) => hears.too_long(&chain.partition, length),
                (_, None) => {}
            }
            left_out += 1;
            writer.leave_out(&chain.partition);
        }
        Ok(left_out)
    }

    /// The heads of all histories, a line each, and the tree over them; and the partitions of those
    /// that are left out.
    pub async fn heads(
        &self,
        to: &mut (impl std::io::Write + Send),
        on_broken: BrokenHistories,
        hears: &mut (impl ExportObserver + Send),
    ) -> anyhow::Result<(SortedHeads, Vec<String>)> {
        let (whole, mut broken) = (self.journal.segments(1).await?, Vec::new());
        let (mut rising, mut taken) =
            (SortedHeads::default(), self.taken(Vec::new(), &whole).await?);
        while let Some(chain) = taken.next().await? {
            let Some(head) = examined(&chain, hears).and_then(|sound| sound.head) else {
                broken.push(chain.partition);
                continue;
            };
            let line = head.line()?;
            rising.push(&head, &line)?;
            writeln!(to, "{line}")?;
        }
        ensure!(
            broken.is_empty() || on_broken == BrokenHistories::LeaveOut,
            "{} broken: a checkpoint would vouch for the tampering; see `verify`, or give \
             --leave-out-broken",
            count(broken.len() as u64, "history")
        );
        Ok((rising, broken))
    }

    async fn taken<'b>(
        &'b self,
        mut keys: Vec<Key>,
        whole: &'b [Segment],
    ) -> anyhow::Result<VerifiedHistories<'b>> {
        if keys.is_empty() {
            let segment = whole.first().context("a journal has a segment")?;
            let sorted = SortedHistories::of(self.journal, segment).await?;
            return Ok(VerifiedHistories::All(sorted, self.tenant));
        }
        keys.sort();
        keys.dedup();
        Ok(VerifiedHistories::Some(self.journal, keys.into_iter()))
    }
}

impl VerifiedHistories<'_> {
    async fn next(&mut self) -> anyhow::Result<Option<Chain>> {
        match self {
            Self::All(sorted, tenant) => loop {
                let next = sorted.next().await?;
                if next.as_ref().is_none_or(|chain| is_of(chain, *tenant)) {
                    return Ok(next);
                }
            },
            Self::Some(journal, keys) => {
                let Some(key) = keys.next() else { return Ok(None) };
                let lines = journal.history(&key).await?;
                ensure!(!lines.is_empty(), "there is no asset {} of {}", key.asset, key.tenant);
                Ok(Some(Chain { partition: key.partition(), lines, strays: Vec::new() }))
            }
        }
    }
}

fn is_of(chain: &Chain, tenant: Option<&Tenant>) -> bool {
    let of = chain.partition.split('#').next();
    tenant.is_none_or(|tenant| of == Some(tenant.as_str()))
}

/// The examination of a history that verifies.
fn examined(chain: &Chain, hears: &mut impl ExportObserver) -> Option<Examination> {
    hears.read(chain.lines.len() as u64);
    let examined = inspect_with(chain, &[]);
    if examined.findings.is_empty() {
        return Some(examined);
    }
    hears.broken(examined.findings);
    None
}
