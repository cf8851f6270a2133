//! The figures of this machine, in one run: `cargo bench`.
//!
//! Each figure is shown with the limit of the engine below it, measured in the same run, because
//! machines vary and only the ratio is portable. Nothing here is a test. `cargo bench` with one of
//! `-- callers`, `-- commands`, `-- dynamodb`, `-- functions`, `-- http`, `-- journal`,
//! `-- offline`, `-- replay` and `-- uploads` prints only those figures, and leaves the file
//! unchanged. So does `-- scale`, which takes minutes and is not among the others: its figures are
//! in `docs/SCALE.md`.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "figures, for people")]
#![allow(clippy::disallowed_methods, reason = "the day on which they were taken is one of them")]

mod callers;
mod commands;
mod dynamodb;
mod http;
mod journal;
mod lambda;
mod load;
mod offline;
mod program;
mod rebuild;
mod replay;
mod rows;
mod scale;
mod table;
mod uploads;

use anyhow::{Context, Result};
use table::ResultsTable;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut table = ResultsTable::default();
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    match wanted.as_deref() {
        Some("bare-axum") => return runtime.block_on(http::serve_bare()),
        Some("engine") => return runtime.block_on(commands::serve_engine()),
        Some("s3s-fs") => {
            let folder = std::env::args_os().nth(2).context("no folder")?;
            return runtime.block_on(uploads::serve_peer(folder.as_ref()));
        }
        Some("scan") => {
            let (folder, assets) = (std::env::args_os().nth(2), std::env::args().nth(3));
            let (folder, assets) = folder.zip(assets).context("no folder, or no count")?;
            return runtime.block_on(rebuild::scan_alone(folder.as_ref(), assets.parse()?));
        }
        Some("callers") => {
            return runtime.block_on(async {
                callers::recognised(&mut table).await?;
                callers::tenants(&mut table).await
            });
        }
        Some("journal") => return runtime.block_on(journal::appends(&mut table)),
        Some("dynamodb") => return runtime.block_on(dynamodb::ratios(&mut table)),
        Some("commands") => return runtime.block_on(commands::over_http(&mut table)),
        Some("replay") => return runtime.block_on(rebuild::replays(&mut table)),
        Some("http") => return runtime.block_on(http::requests(&mut table)),
        Some("uploads") => return runtime.block_on(uploads::small(&mut table)),
        Some("scale") => return runtime.block_on(scale::grown(&mut table)),
        Some("offline") => return offline::checked(&mut table),
        Some("functions") => return runtime.block_on(lambda::functions(&mut table)),
        _ => runtime.block_on(all(&mut table))?,
    }
    table.publish()
}

async fn all(table: &mut ResultsTable) -> Result<()> {
    journal::appends(table).await?;
    replay::fold(table)?;
    offline::checked(table)?;
    rebuild::replays(table).await?;
    dynamodb::ratios(table).await?;
    commands::over_http(table).await?;
    http::requests(table).await?;
    callers::recognised(table).await?;
    callers::tenants(table).await?;
    uploads::small(table).await?;
    load::lag(table).await?;
    load::memory(table).await?;
    lambda::functions(table).await
}
