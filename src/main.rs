//! The program `asset-ledger`.

use std::process::ExitCode;

fn main() -> ExitCode {
    asset_ledger::cli::run()
}
