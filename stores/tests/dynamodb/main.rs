//! The whole ledger on DynamoDB: what it costs, and what it makes of bad luck.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod cost;
mod faults;
mod world;
