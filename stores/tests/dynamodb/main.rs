//! The whole ledger on DynamoDB: its costs, and its handling of faults.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod cost;
mod faults;
mod feed;
mod world;
