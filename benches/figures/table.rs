//! The table of figures: on standard output, and in `benches/RESULTS.md`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

/// Figures, each with its comparison.
#[derive(Default)]
pub(crate) struct ResultsTable {
    rows: Vec<[String; 5]>,
}

impl ResultsTable {
    /// A rate and the rate of the engine below, both per second.
    pub(crate) fn ratio(&mut self, what: &str, rate: f64, below: &str, limit: f64, target: &str) {
        self.row(
            what,
            &format!("{rate:.0}/s"),
            &format!("{below}: {limit:.0}/s"),
            &format!("{:.2}", rate / limit),
            target,
        );
    }

    /// A figure without a ratio.
    pub(crate) fn figure(&mut self, what: &str, figure: &str, beside: &str, target: &str) {
        self.row(what, figure, beside, "", target);
    }

    fn row(&mut self, what: &str, figure: &str, beside: &str, ratio: &str, target: &str) {
        println!("{what:<44} {figure:>12}   {beside:<48} {ratio:>5}   {target}");
        self.rows.push([what, figure, beside, ratio, target].map(str::to_owned));
    }

    pub(crate) fn publish(&self) -> Result<()> {
        let mut text = format!(
            "# Figures\n\nWritten by `cargo bench` on {}, on {}.\n\n\
             | What | Figure | Reference, in the same run | Ratio | Target |\n\
             |---|---:|---|---:|---|\n",
            chrono::Utc::now().format("%Y-%m-%d"),
            machine()?,
        );
        for row in &self.rows {
            writeln!(text, "| {} |", row.join(" | "))?;
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
        std::fs::write(&path, text).context("benches/RESULTS.md")
    }
}

fn machine() -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{cores} cores of {}", model.trim_start_matches([' ', '\t', ':'])))
}
