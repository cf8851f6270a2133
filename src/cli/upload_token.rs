//! `asset-ledger upload-token`: signs a token for uploads by a browser.

use std::io::{self, Write};

use anyhow::Context;
use chrono::{SubsecRound, TimeDelta};
use clap::Args;
use ledger::Effects;
use ledger::access::{ApiKey, UploadGrant};

use super::key::given_key;
use super::replay::keep;
use crate::system::SystemEffects;

/// Sign a token with which a browser may upload files, and print it.
///
/// Reads an API key with the scope write from standard input, and needs no store and no server. The
/// token may create as many assets as it says, and confirm them, until its end or that of the key.
/// The request that creates an asset names its number in `Idempotency-Key`, from 1.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  asset-ledger upload-token --assets 3 --object-bytes 10000000 --type 'image/*' < app.key")]
pub(super) struct UploadTokenCommand {
    /// The number of assets that it may create, 1 to 100.
    #[arg(long, value_name = "COUNT")]
    assets: u32,
    /// The largest object.
    #[arg(long, value_name = "BYTES")]
    object_bytes: u64,
    /// A media type that it may upload, such as image/png or image/*; without it, any. Can be given
    /// more than once.
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// The person for whom it acts, in 1 to 64 visible ASCII characters.
    #[arg(long = "for", value_name = "NAME")]
    acting_for: Option<String>,
    /// How long it is accepted, an hour at most.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = keep::duration)]
    expires_in: TimeDelta,
}

impl UploadTokenCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let key: Result<ApiKey, _> = given_key()?.trim().parse();
        let key = key.context("standard input is no API key")?;
        let issued_at = SystemEffects.now().trunc_subsecs(0);
        let grant = UploadGrant {
            id: format!("{:016x}", SystemEffects.random() >> 64),
            issued_at,
            expires_at: issued_at + self.expires_in,
            assets: self.assets,
            object_bytes: self.object_bytes,
            types: self.types,
            acting_for: self.acting_for,
        };
        let token = key.sign_upload(&grant)?;
        Ok(writeln!(io::stdout(), "{token}")?)
    }
}
