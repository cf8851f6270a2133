//! Compares the bucket with the ledger: every pinned version must have its bytes, and every object
//! its asset. With a repair, it reconciles assets whose notifications were lost.

mod judge;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use ledger::Effects;
use ledger::audit::{Finding, FindingKind};
use ledger::error::{StoreError, chain};
use ledger::id::{Key, Tenant};
use ledger::journal::Journal;
use ledger::journal::scan::Chains;
use ledger::objects::ObjectInventory;
use ledger::record::EventSource;
use ledger::service::{Caller, LedgerService, Refusal, S3_ACTOR, read};
use projections::audit::Findings;
use tokio::time::{Instant, sleep};

use crate::plural::count;

pub use judge::ObjectAuditDepth;

/// Assets whose files are inspected concurrently.
const AT_ONCE: usize = 16;
/// Assets that are collected for a second inspection.
const MOST: usize = 10_000;
/// The wait between two inspections of an asset that may be changing.
const WAIT: Duration = Duration::from_millis(250);

/// An audit of objects.
pub struct ObjectAudit {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The bucket.
    pub inventory: Arc<dyn ObjectInventory>,
    /// The service that reconciles.
    pub service: LedgerService,
    /// The tenant of the files; all tenants if `None`.
    pub tenant: Option<Tenant>,
    /// Whether the bytes are read.
    pub depth: ObjectAuditDepth,
    /// Whether to reconcile assets whose ledger and bucket differ.
    pub repair: bool,
    /// Whether to record also that pinned bytes are gone, which cannot be undone.
    pub accept_missing: bool,
    /// How long a notification may take.
    pub patience: Duration,
    /// The number of inspected assets.
    pub looked: AtomicU64,
}

impl ObjectAudit {
    /// An audit of the files of all tenants by their metadata, without patience or repairs.
    pub fn new(
        journal: Arc<dyn Journal>,
        inventory: Arc<dyn ObjectInventory>,
        effects: Arc<dyn Effects>,
        bucket: impl Into<String>,
    ) -> Self {
        let service =
            LedgerService::new(journal.clone(), inventory.clone(), effects, bucket.into());
        Self {
            journal,
            inventory,
            service,
            tenant: None,
            depth: ObjectAuditDepth::Described,
            repair: false,
            accept_missing: false,
            patience: Duration::ZERO,
            looked: AtomicU64::new(0),
        }
    }

    /// Inspects the files of every asset, and every file for its asset.
    pub async fn run(&self, findings: &Findings) -> Result<(), StoreError> {
        for segment in self.journal.segments(1).await? {
            let mut chains = Chains::new(self.journal.as_ref(), &segment, None);
            let (mut some, mut suspects) = (Vec::new(), Vec::new());
            while let Some(chain) = chains.next().await? {
                some.extend(chain.key().filter(|key| self.is_of_tenant(key)));
                if some.len() >= AT_ONCE {
                    suspects.extend(self.differing(std::mem::take(&mut some)).await?);
                }
                if suspects.len() >= MOST {
                    self.settle(std::mem::take(&mut suspects), findings).await?;
                }
            }
            suspects.extend(self.differing(some).await?);
            self.settle(suspects, findings).await?;
        }
        self.strays(findings).await
    }

    /// The number of assets whose files were inspected so far.
    pub fn looked(&self) -> u64 {
        self.looked.load(Ordering::Relaxed)
    }

    fn is_of_tenant(&self, key: &Key) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == key.tenant)
    }

    /// The assets with findings.
    async fn differing(&self, keys: Vec<Key>) -> Result<Vec<Key>, StoreError> {
        self.looked.fetch_add(keys.len() as u64, Ordering::Relaxed);
        let found = try_join_all(keys.iter().map(|key| self.look(key))).await?;
        let differing = keys.into_iter().zip(found).filter(|(_, found)| !found.is_empty());
        Ok(differing.map(|(key, _)| key).collect())
    }

    /// The findings of an asset, with its current history.
    async fn look(&self, key: &Key) -> Result<Vec<Finding>, StoreError> {
        match read(key, self.journal.history(key).await?) {
            Ok(Some(history)) => self.judge(&history).await,
            Ok(None) => Ok(Vec::new()),
            // Faults of a history are reported elsewhere; they prove nothing about its files.
            Err(error) if error.kind.is_of_one_asset() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Inspects each again until it has no finding, or for long enough, and reports.
    async fn settle(&self, mut keys: Vec<Key>, findings: &Findings) -> Result<(), StoreError> {
        let begun = Instant::now();
        while !keys.is_empty() {
            let late = begun.elapsed() >= self.patience;
            let mut left = Vec::new();
            for some in keys.chunks(AT_ONCE) {
                let found = try_join_all(some.iter().map(|key| self.look(key))).await?;
                for (key, found) in some.iter().zip(found) {
                    if !late && found.iter().any(may_pass) {
                        left.push(key.clone());
                    } else {
                        self.tell(key, found, findings).await?;
                    }
                }
            }
            keys = left;
            if !keys.is_empty() {
                sleep(WAIT).await;
            }
        }
        Ok(())
    }

    /// Objects that belong to no asset. An asset is created before anyone can upload to it.
    async fn strays(&self, findings: &Findings) -> Result<(), StoreError> {
        for path in self.inventory.unlisted().await? {
            let says = "a file of no version that the bucket lists: its list is older than this \
                        file; see OPERATIONS.md";
            let _ = findings.send(Finding::new(FindingKind::ObjectStray, path, says)).await;
        }
        let prefix = self.tenant.as_ref().map_or_else(String::new, |it| format!("{it}/"));
        let mut after = None;
        loop {
            let names = self.inventory.names(&prefix, after.as_deref()).await?;
            let Some(last) = names.last().cloned() else { return Ok(()) };
            for some in names.chunks(AT_ONCE) {
                let known = try_join_all(some.iter().map(|name| self.is_known(name))).await?;
                for (name, _) in some.iter().zip(known).filter(|(_, known)| !known) {
                    let says = "there is such an object, but no event speaks of it";
                    // A receiver that is gone has stopped the audit.
                    let _ = findings.send(Finding::new(FindingKind::ObjectStray, name, says)).await;
                }
            }
            after = Some(last);
        }
    }

    async fn is_known(&self, name: &str) -> Result<bool, StoreError> {
        let Some(key) = Key::from_object(name) else { return Ok(false) };
        match self.journal.last(&key).await {
            Ok(last) => Ok(last.is_some()),
            Err(error) if error.kind.is_of_one_asset() => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn tell(
        &self,
        key: &Key,
        found: Vec<Finding>,
        findings: &Findings,
    ) -> Result<(), StoreError> {
        for mut finding in found {
            if self.repair {
                finding.repair = self.reconcile(key, finding.kind).await?;
            }
            let _ = findings.send(finding).await;
        }
        Ok(())
    }

    /// Reconciles an asset like a notification, and returns the result.
    async fn reconcile(&self, key: &Key, kind: FindingKind) -> Result<Option<String>, StoreError> {
        let said = |text: &str| Ok(Some(text.to_owned()));
        match kind {
            FindingKind::ObjectUnrecorded | FindingKind::ObjectPresent => {}
            FindingKind::ObjectMissing if self.accept_missing => {}
            FindingKind::ObjectMissing => {
                return said("nothing: bring it back, or --accept-missing");
            }
            _ => return Ok(None),
        }
        let (actor, request) = (S3_ACTOR.to_owned(), "verify".to_owned());
        let tenant = key.tenant.clone();
        let caller =
            Caller { tenant, actor, source: EventSource::Reconcile, request, own_only: false };
        let looked = match kind {
            FindingKind::ObjectMissing => self.service.accept_missing(&caller, key.asset).await,
            _ => self.service.look(&caller, key.asset).await,
        };
        match looked {
            Ok(looked) if kind == FindingKind::ObjectMissing && looked.recorded == 0 => {
                said("nothing: the bucket lists it still; bring its bytes back")
            }
            Ok(looked) => {
                let (events, gone) = (looked.recorded, looked.swept);
                let destroyed = format!(", {} destroyed", count(gone as u64, "version"));
                let more = if gone > 0 { destroyed } else { String::new() };
                Ok(Some(format!(
                    "looked at it: {} recorded{more}",
                    count(u64::from(events), "event")
                )))
            }
            Err(Refusal::Store(error)) => Err(error),
            Err(refusal) => Ok(Some(format!("nothing: {}", chain(&refusal)))),
        }
    }
}

/// Whether the finding may disappear by itself.
fn may_pass(finding: &Finding) -> bool {
    matches!(
        finding.kind,
        FindingKind::ObjectUnrecorded | FindingKind::ObjectPresent | FindingKind::ObjectMissing
    )
}
