//! The program `asset-ledger`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Threads free what others have allocated. The allocator of glibc then locks, and a thread that
/// waits for its lock sleeps: a fifth of a command's CPU time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    asset_ledger::cli::run()
}
