//! The real binary over real sockets: its first use, and its behaviour under faults.
#![allow(clippy::print_stdout, reason = "what bad luck did, in figures")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic, its helpers too")]

mod audit;
mod aws;
mod backup;
mod command_line;
mod crash;
mod faults;
mod ground;
mod inputs;
mod keys;
mod life;
mod limits;
mod looking;
mod media;
mod pages;
mod repeats;
mod replay;
mod rows;
mod run_books;
mod server;
mod terminal;
mod tokens;
mod uploads;
mod usage;
mod verify;
