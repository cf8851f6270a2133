//! The program `asset-ledger`.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Much of the memory of a request is freed by another thread than the one that allocated it, which
/// costs less here than in the system's allocator. `.cargo/config.toml` has its settings.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    asset_ledger::cli::run()
}
