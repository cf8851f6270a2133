//! The real program as a separate process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use engine::Tables;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The interval of memory and phase samples.
pub(crate) const SAMPLE: Duration = Duration::from_millis(5);

/// What is 0 in the metrics of a server that has nothing left to do.
const LEFT: [&str; 2] = ["asset_ledger_outbox_waiting ", "asset_ledger_arrivals_behind "];

/// What a command took.
pub(crate) struct Taken {
    pub(crate) time: Duration,
    /// Peak resident memory in MiB.
    pub(crate) peak: f64,
}

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

    /// This bench itself, as the peer's S3 server.
    pub(crate) fn peer(folder: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("s3s-fs").arg(folder);
        Self::start(command)
    }

    /// This bench itself, as an embedded DynamoDB behind a socket.
    pub(crate) fn engine() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("engine");
        Self::start(command)
    }

    /// On the tables of that engine, and without a bucket.
    pub(crate) fn serve_on(engine: &Self, tables: &Tables) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asset-ledger"));
        command.args(["serve", "--store", "dynamodb", "--listen", "127.0.0.1:0"]);
        command.args(["--journal-table", &tables.journal, "--views-table", &tables.views]);
        command.args(["--bucket", "files"]).envs([
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "engine"),
            ("AWS_SECRET_ACCESS_KEY", "engine"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &format!("http://{}", engine.address)),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
        ]);
        command.stderr(tempfile::tempfile()?);
        Self::start(command)
    }

    /// Runs a command on a data folder to its end.
    pub(crate) async fn run(command: &str, data: &Path, more: &[&Path]) -> Result<Taken> {
        let mut program = Command::new(env!("CARGO_BIN_EXE_asset-ledger"));
        program.args([command, "--data"]).arg(data).args(more);
        Self::to_its_end(program).await
    }

    /// Runs this bench itself as a program that scans a journal of so many assets.
    pub(crate) async fn scan(data: &Path, assets: u64) -> Result<Taken> {
        let mut program = Command::new(std::env::current_exe()?);
        program.arg("scan").arg(data).arg(assets.to_string());
        Self::to_its_end(program).await
    }

    async fn to_its_end(mut program: Command) -> Result<Taken> {
        let start = Instant::now();
        let mut program = program.stdout(Stdio::null()).stderr(tempfile::tempfile()?).spawn()?;
        let (process, mut peak) = (program.id(), 0.0_f64);
        let mut end = spawn_blocking(move || program.wait().map(|ended| (ended, start.elapsed())));
        let (ended, time) = loop {
            match timeout(SAMPLE, &mut end).await {
                Ok(end) => break end??,
                Err(_) => peak = peak.max(memory(process, "VmHWM:").unwrap_or_default()),
            }
        };
        ensure!(ended.success(), "a program failed: {ended}");
        Ok(Taken { time, peak })
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

    /// Waits until all notifications are events, and all events are projected.
    pub(crate) async fn caught_up(&self) -> Result<()> {
        let metrics = format!("http://{}/metrics", self.address);
        loop {
            let text = reqwest::get(&metrics).await?.text().await?;
            let value = |name| text.lines().find_map(|line| line.strip_prefix(name));
            let left = LEFT.map(|name| value(name).map(str::trim));
            ensure!(!left.contains(&None), "no such metric");
            if left == [Some("0"); 2] {
                return Ok(());
            }
            tokio::time::sleep(SAMPLE).await;
        }
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) -> Result<()> {
        let ended = Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(ended.success() && self.child.wait()?.success(), "it did not end in good order");
        Ok(())
    }

    /// The id of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> Result<f64> {
        memory(self.child.id(), "VmRSS:")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The CPU time of a process, in seconds.
pub(crate) fn cpu(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |nth: usize| -> Result<f64> { Ok(fields.get(nth).context("no field")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// A figure of a process's memory, in MiB.
fn memory(process: u32, figure: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure));
    let kib: f64 = line.context("no such figure")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
