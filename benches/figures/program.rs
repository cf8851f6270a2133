//! The real program as a separate process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};

pub(crate) struct Program {
    child: Child,
    _out: BufReader<ChildStdout>,
    /// The address in its first line.
    pub(crate) address: String,
}

impl Program {
    pub(crate) fn serve(data: &Path) -> Result<Self> {
        Self::serve_as(data, &[])
    }

    /// With these variables of its environment.
    pub(crate) fn serve_as(data: &Path, variables: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asset-ledger"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"]);
        command.arg("--data").arg(data).envs(variables.iter().copied());
        // The access log costs what it costs.
        command.stderr(tempfile::tempfile()?);
        Self::start(command)
    }

    /// This bench itself, as a server that only answers.
    pub(crate) fn bare() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare-axum");
        Self::start(command)
    }

    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut out = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let address = line.split_whitespace().nth(1).context("it told no address")?;
        let address = address.trim_start_matches("http://").to_owned();
        Ok(Self { child, _out: out, address })
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: f64 = line.context("no VmRSS")?.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
