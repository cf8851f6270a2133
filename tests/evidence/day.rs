//! One simulated day: acknowledged events, evidence, and the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ledger::chain::Hash;
use ledger::testing::Chance;
use reqwest::Client;
use tempfile::TempDir;

use crate::damage::{self, Copy};
use crate::look::{self, Named};
use crate::operate::{self, Operation};

/// A data folder, and the evidence outside it.
pub(crate) struct Day {
    pub(crate) seed: u64,
    pub(crate) chance: Chance,
    pub(crate) root: TempDir,
    pub(crate) http: Client,
    pub(crate) data: PathBuf,
    /// Copies of the folder from earlier moments, oldest first.
    pub(crate) copies: Vec<Copy>,
    /// Acknowledged events, by partition and version.
    pub(crate) acknowledged: BTreeMap<(String, u64), Hash>,
    /// Files of heads, written before each damage.
    pub(crate) checkpoints: Vec<PathBuf>,
    /// Assets with findings: commands choose them more often than by chance.
    pub(crate) hurt: Vec<String>,
    pub(crate) steps: Vec<String>,
    pub(crate) ever_named: bool,
    pub(crate) made: u64,
}

impl Day {
    /// A folder with a few assets, after two sessions.
    pub(crate) async fn begin(seed: u64, http: Client) -> Self {
        let memory = Path::new("/dev/shm");
        let root = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
        let data = root.path().join("data");
        let mut day = Self {
            seed,
            chance: Chance::new(seed),
            root,
            http,
            data,
            copies: Vec::new(),
            acknowledged: BTreeMap::new(),
            checkpoints: Vec::new(),
            hurt: Vec::new(),
            steps: Vec::new(),
            ever_named: false,
            made: 0,
        };
        operate::commands(&mut day, 3).await.unwrap();
        let stopped = day.fresh("stopped");
        day.copies.push(damage::copy(&day.data, &stopped));
        operate::commands(&mut day, 2).await.unwrap();
        day
    }

    /// An unused path.
    pub(crate) fn fresh(&mut self, name: &str) -> PathBuf {
        self.made += 1;
        self.root.path().join(format!("{name}.{}", self.made))
    }

    /// Damages and operations in random order; the first broken rule.
    pub(crate) async fn live(&mut self) -> Result<(), String> {
        for _ in 0..=self.chance.below(2) {
            look::keep_heads(self).await;
            let done = damage::some(self);
            self.steps.push(format!("damage: {done}"));
            let mut named = look::named(self).await;
            self.steps.push(format!("  named: {named}"));
            self.whole(&named)?;
            for _ in 0..2 + self.chance.below(3) {
                named = self.operate(named).await?;
            }
        }
        Ok(())
    }

    async fn operate(&mut self, before: Named) -> Result<Named, String> {
        let bytes = look::bytes(&self.data);
        let operation = *self.chance.pick(&Operation::ALL).unwrap();
        let said = operate::run(self, operation).await;
        let accepted = operation == Operation::Accept && said.is_ok();
        self.steps.push(format!("{operation:?}: {}", said.err().unwrap_or_default()));
        let now = look::named(self).await;
        self.steps.push(format!("  named: {now}"));
        if let Some(gone) = bytes.difference(&look::bytes(&self.data)).next() {
            return Err(format!("{operation:?}: the bytes of an object are gone: {gone}"));
        }
        if accepted {
            look::let_go(self).await;
            return Ok(look::named(self).await);
        }
        before.is_still_in(&now).map_err(|gone| format!("{operation:?}: {gone} is not named"))?;
        self.whole(&now)?;
        Ok(now)
    }

    /// Every acknowledged event is in the journal, or its absence is reported.
    fn whole(&mut self, named: &Named) -> Result<(), String> {
        self.ever_named |= named.something();
        self.hurt = named.assets();
        let missing: BTreeSet<_> = look::missing(self).into_iter().collect();
        match missing.into_iter().find(|asset| !named.speaks_of(asset)) {
            Some(asset) => Err(format!("{asset} lost what was acknowledged, and nothing says so")),
            None => Ok(()),
        }
    }
}
