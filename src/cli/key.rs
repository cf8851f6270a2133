//! `asset-ledger key`: the API keys of a tenant.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::{Args, Subcommand};
use ledger::Effects;
use ledger::access::{AccessCommand, ApiKey, GrantedKey, KeyId, KeyName, KeyRequest, Scope};
use ledger::asset::Reason;
use ledger::service::Caller;
use ledger::time;
use stores::sqlite::OpenMode;

use super::by::{Operator, refused};
use super::replay::keep;
use super::store_options::StoreOptions;
use super::{render, table};
use crate::system::SystemEffects;

/// Bytes that are read as a key: more than any has.
const KEY_MAX: u64 = 4_096;

/// Create, list, replace, revoke and check the API keys of a tenant.
///
/// A key is printed once, on standard output and with nothing else; the ledger keeps only its
/// SHA-256. `serve --auth required` accepts a new key at once, and stops accepting a revoked one
/// within ten seconds.
///
/// Scopes: read (lists, states, downloads), write (create, upload, confirm), delete (delete,
/// restore), purge, audit (histories, proofs, the feed, the events of keys), admin (keys). No scope
/// includes another.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger key create --name ops --scope admin --data ./data > ops.key
  asset-ledger key create --name uploads --scope read,write --expires-in 90d --data ./data
  asset-ledger key create --name kiosk --scope read,write --own-only --data ./data
  asset-ledger key rotate 5bf8a4d0c1e27f36 --grace 1h --data ./data > new.key
  asset-ledger key revoke 5bf8a4d0c1e27f36 --reason \"it was in a log\" --data ./data
  asset-ledger key check --data ./data < ops.key")]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Create a key and print it.
    #[command(after_help = "Example: asset-ledger key create --name ops --scope admin --data d")]
    Create {
        /// A name for people, in up to 64 bytes.
        #[arg(long)]
        name: String,
        /// What the key may do: read, write, delete, purge, audit, admin. Can be given more than
        /// once.
        #[arg(long, required = true, value_delimiter = ',')]
        scope: Vec<Scope>,
        /// Limit the key to the assets that it creates, itself or through its replacements.
        #[arg(long)]
        own_only: bool,
        /// How long it is accepted, such as 90d; without it, until it is revoked.
        #[arg(long, value_name = "DURATION", value_parser = keep::duration)]
        expires_in: Option<TimeDelta>,
        #[command(flatten)]
        of: OfTenant,
    },
    /// List the live keys.
    #[command(after_help = "Example: asset-ledger key list --data ./data")]
    List {
        /// Also those that have ended.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        stores: Box<StoreOptions>,
    },
    /// Replace a key by one with the same name and rights, and print it.
    #[command(after_help = "Example: asset-ledger key rotate 5bf8a4d0c1e27f36 --data ./data")]
    Rotate {
        /// The id of the replaced key: the part after the tenant.
        id: KeyId,
        /// How long the replaced key is still accepted; 30 days at most.
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = keep::parse)]
        grace: TimeDelta,
        /// How long the new key is accepted, such as 90d; without it, until it is revoked.
        #[arg(long, value_name = "DURATION", value_parser = keep::duration)]
        expires_in: Option<TimeDelta>,
        #[command(flatten)]
        of: OfTenant,
    },
    /// End a key now.
    #[command(after_help = "Example: asset-ledger key revoke 5bf8a4d0c1e27f36 --data ./data")]
    Revoke {
        /// The id of the key: the part after the tenant.
        id: KeyId,
        /// Why, in up to 256 bytes.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        of: OfTenant,
    },
    /// Read a key from standard input and tell whether it is accepted. The exit code is 1 if not.
    #[command(after_help = "Example: asset-ledger key check --data ./data < ops.key")]
    Check(Box<StoreOptions>),
}

#[derive(Debug, Args)]
struct OfTenant {
    #[command(flatten)]
    by: Operator,
    #[command(flatten)]
    stores: Box<StoreOptions>,
}

impl KeyArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            KeyCommand::Create { name, scope, own_only, expires_in, of } => {
                let scopes = scope.into_iter().collect();
                let (name, expires_at) = (KeyName::new(name)?, end(expires_in)?);
                of.create(KeyRequest { name, scopes, own_only, expires_at }).await?;
            }
            KeyCommand::List { all, stores } => list(&stores, all).await?,
            KeyCommand::Rotate { id, grace, expires_in, of } => {
                of.rotate(id, grace, end(expires_in)?).await?;
            }
            KeyCommand::Revoke { id, reason, of } => {
                of.revoke(id, reason.map(Reason::new).transpose()?).await?;
            }
            KeyCommand::Check(stores) => return check(&stores).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn end(after: Option<TimeDelta>) -> anyhow::Result<Option<DateTime<Utc>>> {
    let Some(after) = after else { return Ok(None) };
    let end = time::after(None, SystemEffects.now()).checked_add_signed(after);
    end.filter(|end| time::is_recordable(*end)).map(Some).context("--expires-in: is too long")
}

impl OfTenant {
    async fn create(&self, request: KeyRequest) -> anyhow::Result<()> {
        let (access, caller) = (self.stores.access(OpenMode::Existing).await?, self.caller());
        let created = access.create_key(&caller, request, None).await;
        let (key, granted) = created.map_err(|refusal| refused(&caller, refusal))?;
        show_once(&key, &granted, "created")
    }

    async fn rotate(
        &self,
        id: KeyId,
        grace: TimeDelta,
        expires_at: Option<DateTime<Utc>>,
    ) -> anyhow::Result<()> {
        let (access, caller) = (self.stores.access(OpenMode::Existing).await?, self.caller());
        let rotated = access.rotate_key(&caller, id, grace, expires_at, None).await;
        let (key, granted) = rotated.map_err(|refusal| refused(&caller, refusal))?;
        let seconds = grace.num_seconds();
        show_once(
            &key,
            &granted,
            &format!("replaces {id}, which ends in {seconds} s at the latest"),
        )
    }

    async fn revoke(&self, id: KeyId, reason: Option<Reason>) -> anyhow::Result<()> {
        let (access, caller) = (self.stores.access(OpenMode::Existing).await?, self.caller());
        let revoke = AccessCommand::RevokeKey(id, reason);
        let revoked = access.execute(&caller, &revoke).await;
        let (_, recorded) = revoked.map_err(|refusal| refused(&caller, refusal))?;
        let told =
            if recorded { "revoked; `serve` follows within 10 s" } else { "has ended already" };
        Ok(writeln!(io::stderr(), "key {id} {told}")?)
    }

    fn caller(&self) -> Caller {
        self.by.caller(&self.stores.home_tenant())
    }
}

/// Prints the key alone on standard output, and what it is on standard error.
fn show_once(key: &ApiKey, granted: &GrantedKey, told: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let shown = writeln!(out, "{}", key.reveal()).and_then(|()| out.flush());
    shown.with_context(|| format!("key {} was created but not shown: revoke it", granted.id))?;
    let (id, scopes, tenant) = (granted.id, rights(granted), &key.tenant);
    writeln!(io::stderr(), "key {id} of tenant {tenant} {told}; scopes: {scopes}")?;
    Ok(writeln!(io::stderr(), "Keep it: it cannot be shown again.")?)
}

async fn list(stores: &StoreOptions, all: bool) -> anyhow::Result<()> {
    let (tenant, now) = (stores.home_tenant(), SystemEffects.now());
    let access = stores.access(OpenMode::ReadOnly).await?;
    let Some(history) = access.history(&tenant).await? else {
        bail!("there is no tenant {tenant}")
    };
    let uses = access.last_uses(&tenant).await?;
    let keys = history.access().keys.values().filter(|key| all || key.is_live(now));
    let rows: Vec<_> = keys.map(|key| row(key, uses.get(&key.id), now)).collect();
    let mut out = io::stdout().lock();
    if rows.is_empty() {
        return Ok(writeln!(out, "tenant {tenant} has no live key")?);
    }
    let headers = ["key", "name", "scopes", "created (UTC)", "by", "ends (UTC)", "last used (UTC)"];
    Ok(writeln!(out, "{}", table::fit(&headers, &rows, &[0, 3, 5, 6], table::columns()))?)
}

fn row(key: &GrantedKey, last_used: Option<&NaiveDate>, now: DateTime<Utc>) -> Vec<String> {
    let end = match key.ends_at {
        None => "never".to_owned(),
        Some(end) if key.is_live(now) => time::format(end),
        Some(end) => format!("ended {}", time::format(end)),
    };
    vec![
        key.id.to_string(),
        render::line(&key.name).into_owned(),
        rights(key),
        time::format(key.created_at),
        render::line(&key.created_by).into_owned(),
        end,
        last_used.map_or_else(|| "never".to_owned(), ToString::to_string),
    ]
}

/// The scopes, and whether they are for its own assets alone.
fn rights(key: &GrantedKey) -> String {
    let own = if key.own_only { " (own_only)" } else { "" };
    format!("{}{own}", key.scopes)
}

/// The text of a key. It comes by standard input: an argument would be shown to every user of the
/// machine.
pub(super) fn given_key() -> anyhow::Result<String> {
    let mut text = String::new();
    io::stdin().take(KEY_MAX).read_to_string(&mut text).context("cannot read the key")?;
    Ok(text)
}

async fn check(stores: &StoreOptions) -> anyhow::Result<ExitCode> {
    let (accepted, told) = match given_key()?.trim().parse::<ApiKey>() {
        Ok(key) => told(stores, &key).await?,
        Err(why) => (false, why.to_string()),
    };
    writeln!(io::stdout(), "{}: {told}", if accepted { "accepted" } else { "refused" })?;
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn told(stores: &StoreOptions, key: &ApiKey) -> anyhow::Result<(bool, String)> {
    let (tenant, id, now) = (&key.tenant, key.id, SystemEffects.now());
    let history = stores.access(OpenMode::ReadOnly).await?.history(tenant).await?;
    let Some(history) = history else {
        return Ok((false, format!("there is no tenant {tenant}")));
    };
    let access = history.access();
    let Some(granted) = access.keys.get(&id) else {
        return Ok((false, format!("tenant {tenant} has no key {id}")));
    };
    if access.suspended {
        return Ok((false, format!("tenant {tenant} is suspended")));
    }
    if access.accepts(key, now).is_some() {
        let (name, scopes) = (render::line(&granted.name), rights(granted));
        return Ok((true, format!("key {id} of tenant {tenant}, {name}; scopes: {scopes}")));
    }
    let why = if granted.is_live(now) { "has another secret" } else { "has ended" };
    Ok((false, format!("key {id} of tenant {tenant} {why}")))
}
