//! The jobs of one machine, and their plan.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use chrono::SecondsFormat;
use ledger::audit::Finding;
use ledger::journal::{Arrivals, Journal};
use ledger::objects::ObjectInventory;
use ledger::signer::Signer;
use ledger::{Effects, StoreError};
use projections::audit::{Findings, RowAudit, followed};
use projections::{Generations, Positions};

use super::schedule::{JobFindings, Schedule, ScheduledJob};
use super::throttle::{PacedScan, ReadPace};
use super::verified::verified;
use crate::export::{BrokenHistories, ExportObserver, ExportSource};
use crate::object_audit::ObjectAudit;

/// How long a late row or notification may make no progress before it is a finding.
const PATIENCE: Duration = Duration::from_secs(10);
/// Broken histories that a checkpoint logs; the rest is omitted.
const TOLD: u64 = 20;

/// The plan of scheduled jobs.
#[derive(Clone, Default)]
pub struct SchedulePlan {
    /// The interval of verifications.
    pub verify_every: Option<Duration>,
    /// The plan of checkpoints.
    pub checkpoints: Option<CheckpointPlan>,
}

/// The plan of checkpoints.
#[derive(Clone)]
pub struct CheckpointPlan {
    /// The interval.
    pub every: Duration,
    /// The folder, with a file for each run.
    pub out: PathBuf,
    /// The signer.
    pub signer: Option<Arc<dyn Signer>>,
}

/// The stores that the jobs read.
pub(crate) struct JobContext<J> {
    pub(crate) journal: Arc<J>,
    pub(crate) views: Arc<dyn Generations>,
    pub(crate) positions: Arc<dyn Positions>,
    pub(crate) inventory: Arc<dyn ObjectInventory>,
    pub(crate) bucket: &'static str,
    pub(crate) effects: Arc<dyn Effects>,
}

impl SchedulePlan {
    /// The schedule of a folder; empty without a planned job.
    pub(crate) fn schedule<J: Journal + Arrivals + 'static>(
        self,
        folder: &Path,
        parts: JobContext<J>,
    ) -> anyhow::Result<Schedule> {
        let mut schedule = Schedule::on(folder, parts.effects.clone());
        let arrivals = parts.journal.clone();
        let paced = Arc::new(PacedScan::new(parts.journal, Arc::<ReadPace>::default()));
        let effects = parts.effects;
        if let Some(CheckpointPlan { every, out, signer }) = self.checkpoints {
            refuse_within(folder, &out)?;
            let (journal, effects) = (paced.clone(), effects.clone());
            schedule.add(Box::new(CheckpointJob { journal, effects, out, signer }), every);
        }
        if let Some(every) = self.verify_every {
            let journal = paced;
            let audit = RowAudit {
                journal,
                views: parts.views,
                tenant: None,
                effects,
                patience: PATIENCE,
                repair: false,
                segments: 1,
            };
            let (positions, inventory, bucket) = (parts.positions, parts.inventory, parts.bucket);
            let job = VerifyJob { audit, arrivals, positions, inventory, bucket };
            schedule.add(Box::new(job), every);
        }
        Ok(schedule)
    }
}

/// A person who can alter a folder can alter every file in it.
fn refuse_within(data: &Path, out: &Path) -> anyhow::Result<()> {
    let shown = out.display();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(out);
    made.with_context(|| format!("--checkpoint-out {shown}: cannot make the folder"))?;
    let (data, real) = (data.canonicalize()?, out.canonicalize()?);
    ensure!(
        !real.starts_with(data),
        "--checkpoint-out {shown} is within --data, where whoever alters the ledger alters its \
         checkpoints too: name a folder elsewhere, best on another machine"
    );
    Ok(())
}

/// Verifies everything, like `verify --objects`.
struct VerifyJob {
    audit: RowAudit,
    arrivals: Arc<dyn Arrivals>,
    positions: Arc<dyn Positions>,
    inventory: Arc<dyn ObjectInventory>,
    bucket: &'static str,
}

impl VerifyJob {
    /// Reports rows that are ahead of the journal.
    async fn followed(&self, findings: &Findings) -> Result<(), StoreError> {
        // The position first: the journal, read later, has everything before it.
        let position = self.positions.load().await?;
        if let Some(finding) = followed(&position, &*self.arrivals).await? {
            let _ = findings.send(finding).await; // fails if the receiver is gone
        }
        Ok(())
    }

    fn files(&self) -> ObjectAudit {
        let RowAudit { journal, tenant, effects, patience, .. } = self.audit.clone();
        let files = ObjectAudit::new(journal, self.inventory.clone(), effects, self.bucket);
        ObjectAudit { tenant, patience, ..files }
    }
}

#[async_trait]
impl ScheduledJob for VerifyJob {
    fn name(&self) -> &'static str {
        "verify"
    }

    async fn run(&self) -> anyhow::Result<JobFindings> {
        let files = self.files();
        let looked = verified(async |findings, progress| {
            self.followed(&findings).await?;
            self.audit.run(&findings, &progress).await?;
            files.run(&findings).await
        });
        let verified = looked.await.context("the ledger could not be looked at")?;
        Ok(JobFindings { findings: verified.count(), tampered: verified.tampered() })
    }
}

/// Writes a checkpoint, like the command.
struct CheckpointJob {
    journal: Arc<dyn Journal>,
    effects: Arc<dyn Effects>,
    out: PathBuf,
    signer: Option<Arc<dyn Signer>>,
}

#[async_trait]
impl ScheduledJob for CheckpointJob {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    async fn run(&self) -> anyhow::Result<JobFindings> {
        let at = self.effects.now().to_rfc3339_opts(SecondsFormat::Secs, true).replace(':', "-");
        let out = self.out.join(format!("{at}.heads"));
        let source = ExportSource { journal: &*self.journal, tenant: None };
        let mut log = FindingsLog::default();
        let (signer, broken) = (self.signer.as_deref(), BrokenHistories::Refuse);
        let (rising, _) = source.checkpoint(&out, signer, broken, &mut log).await?;
        let (file, root) = (out.display(), rising.root());
        let (assets, streams) = (rising.count() - rising.streams(), rising.streams());
        tracing::info!(%file, assets, streams, %root, "wrote a checkpoint");
        Ok(JobFindings::default())
    }
}

/// Logs the broken histories.
#[derive(Default)]
struct FindingsLog(u64);

impl ExportObserver for FindingsLog {
    fn read(&mut self, _: u64) {}

    fn broken(&mut self, findings: Vec<Finding>) {
        for Finding { kind, asset, version, says, .. } in findings {
            self.0 += 1;
            if self.0 <= TOLD {
                tracing::error!(%kind, asset, version, says,
                    "no checkpoint: a history does not verify");
            }
        }
    }

    fn too_long(&mut self, _: &str, _: usize) {}
}
