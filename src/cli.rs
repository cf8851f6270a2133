//! The command line: `serve`, `project`, `migrate`, `demo`, `history`, `replay`, `tenant`, `key`,
//! `upload-token`, `usage`, `urls`, and the tools of an audit: `verify`, `export`, `import`,
//! `checkpoint`, `proof`; `backup` and `restore`.

mod backup;
mod by;
mod checkpoint;
mod demo;
mod export;
mod history;
mod import;
mod key;
mod logging;
mod migrate;
mod progress;
mod project;
mod proof;
mod render;
mod replay;
mod serve;
mod signals;
mod store_options;
mod table;
mod tenant;
mod upload_token;
mod urls;
mod usage;
mod values;
mod verify;

use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Who did what to this file, when, and prove it.
///
/// An event-sourced ledger of files: clients upload straight to S3 by presigned URL, every action
/// is one immutable event in a hash chain, and current state is a projection that can be rebuilt.
#[derive(Debug, Parser)]
#[command(name = "asset-ledger", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Ledger options of the commands:
  --data DIR         on this machine: one folder holds everything
  --store dynamodb --journal-table TABLE --views-table TABLE [--bucket BUCKET]
                     on AWS; region, credentials and endpoints come from the usual AWS settings
  --tenant NAME      the tenant of the assets, if it is not `main`
Each option has an environment variable: see `asset-ledger COMMAND --help`.

Examples:
  asset-ledger demo
  asset-ledger serve --data ./data
  asset-ledger verify --data ./data")]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
    #[command(flatten)]
    log: LogOptions,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    Serve(serve::Serve),
    Project(project::Project),
    Migrate(migrate::Migrate),
    Demo(demo::Demo),
    History(history::HistoryCommand),
    Replay(replay::ReplayCommand),
    Verify(verify::VerifyCommand),
    Export(export::Export),
    Import(import::ImportCommand),
    Checkpoint(checkpoint::CheckpointCommand),
    Proof(proof::ProofCommand),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Usage(usage::UsageCommand),
    Urls(urls::UrlsCommand),
    UploadToken(upload_token::UploadTokenCommand),
    Tenant(tenant::TenantArgs),
    Key(key::KeyArgs),
}

/// Logging options.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging (on standard error)")]
struct LogOptions {
    /// The log format: text, or JSON with one object per line.
    #[arg(long, global = true, env = "ASSET_LEDGER_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// The log filter: a level, or levels by module, such as `info,asset_ledger::http=debug`.
    #[arg(long, global = true, env = "ASSET_LEDGER_LOG", value_name = "FILTER")]
    log: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Runs the program; the exit code is 0 for success, 1 for failure and 2 for a wrong command line.
/// `verify` exits with 1 for findings, and with 2 if it could not run.
#[must_use]
pub fn run() -> ExitCode {
    let Cli { command, log } = Cli::parse();
    let (failure, shows) = (command.failure(), command.only_shows());
    let outcome = logging::start(&log, command.quiet()).and_then(|log| {
        let outcome = on_threads(command.run());
        log.end();
        outcome
    });
    match outcome {
        Ok(code) => code,
        // `asset-ledger history … | head`: the reader has closed the pipe.
        Err(error) if shows && is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "asset-ledger: {}", told(&error));
            failure
        }
    }
}

/// Runs a command and ends its tasks.
fn on_threads(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    // One more than cores: the stores look up on all threads but one.
    let threads = available_parallelism().map_or(1, NonZero::get) + 1;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(threads).enable_all().build()?;
    runtime.block_on(command)
}

impl CliCommand {
    /// Whether only warnings are logged by default, because the command prints its own output.
    fn quiet(&self) -> bool {
        !matches!(self, Self::Serve(_) | Self::Project(_))
    }

    /// The exit code of a command that failed.
    fn failure(&self) -> ExitCode {
        if matches!(self, Self::Verify(_)) {
            verify::COULD_NOT_LOOK.into()
        } else {
            ExitCode::FAILURE
        }
    }

    /// Whether the command only prints, and so ends with success when its output is closed. The
    /// exit code of any other command reports its result.
    fn only_shows(&self) -> bool {
        matches!(self, Self::History(_) | Self::Demo(_) | Self::Usage(_) | Self::Urls(_))
    }

    async fn run(self) -> anyhow::Result<ExitCode> {
        let done = match self {
            Self::Verify(verify) => return verify.run().await,
            Self::Backup(backup) => return backup.run().await,
            Self::Restore(restore) => return restore.run().await,
            Self::Key(key) => return key.run().await,
            Self::Tenant(tenant) => tenant.run().await,
            Self::Replay(replay) => replay.run().await,
            Self::Serve(serve) => serve.run().await,
            Self::Project(project) => project.run().await,
            Self::Demo(demo) => demo.run().await,
            Self::History(history) => history.run().await,
            Self::Migrate(migrate) => migrate.run().await,
            Self::Export(export) => export.run().await,
            Self::Import(import) => import.run().await,
            Self::Checkpoint(checkpoint) => checkpoint.run().await,
            Self::Proof(proof) => proof.run(),
            Self::Usage(usage) => usage.run().await,
            Self::Urls(urls) => urls.run().await,
            Self::UploadToken(token) => token.run(),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

/// Prints a line of a server. The server continues if the line cannot be written, or blocks: hence
/// a thread that is not joined.
fn announce(text: String) {
    std::thread::spawn(move || {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    });
}

/// Names the partial files of earlier runs at a place. They block nothing.
fn leftovers(out: &Path) {
    for left in crate::export::leftovers(out) {
        let left = left.display().to_string();
        let left = render::line(&left);
        let why = "left by a run that was killed or is still running; no command reads it";
        let _ = writeln!(io::stderr(), "{left}: {why}");
    }
}

/// An error and its causes on one line, without repetition: a message may contain its cause's.
fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.ends_with(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    render::lines(&told).into_owned()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
