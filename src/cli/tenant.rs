//! `asset-ledger tenant`: the tenants of a ledger, and their limits.

use std::collections::BTreeSet;
use std::io::{self, Write};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use ledger::Effects;
use ledger::access::{AccessCommand, TenantAccess, TenantLimits};
use ledger::asset::Reason;
use ledger::id::{AccessStream, PartitionKey, StreamKey, Tenant};
use ledger::journal::scan::Chains;
use stores::sqlite::OpenMode;

use super::by::{Operator, refused};
use super::store_options::StoreOptions;
use super::table;
use crate::plural::count;
use crate::system::SystemEffects;

/// Create, limit, suspend and show the tenants of a ledger.
///
/// With `serve --auth required` each request belongs to the tenant of its API key, and a tenant
/// sees nothing of another. A tenant and its keys are events in the journal, so `verify`, `export`
/// and `checkpoint` cover them. `serve` may run meanwhile: it follows within ten seconds.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger tenant create acme --data ./data
  asset-ledger tenant limit acme --declared-only --url-seconds 600 --data ./data
  asset-ledger tenant suspend acme --reason \"unpaid\" --data ./data
  asset-ledger tenant show acme --data ./data
Then make its first key: asset-ledger key create --tenant acme --name ops --scope admin")]
pub(super) struct TenantArgs {
    #[command(subcommand)]
    command: TenantCommand,
}

#[derive(Debug, Subcommand)]
enum TenantCommand {
    /// Create a tenant. One that exists is left as it is.
    #[command(after_help = "Example: asset-ledger tenant create acme --data ./data")]
    Create(NamedTenant),
    /// Replace all limits of a tenant; without options it has none.
    #[command(after_help = "Example: asset-ledger tenant limit acme --url-seconds 600 --data d")]
    Limit {
        /// Refuse uploads without a declaration: each asset is created with a JSON object.
        #[arg(long)]
        declared_only: bool,
        /// The longest life of an upload or download URL.
        #[arg(long, value_name = "SECONDS")]
        url_seconds: Option<u64>,
        /// The quota of assets that are not purged.
        #[arg(long, value_name = "COUNT")]
        assets: Option<u64>,
        /// The quota of assets that await their upload.
        #[arg(long, value_name = "COUNT")]
        awaiting: Option<u64>,
        /// The quota of bytes, stored and declared.
        #[arg(long, value_name = "BYTES")]
        bytes: Option<u64>,
        /// The largest object; every upload must then declare its size.
        #[arg(long, value_name = "BYTES")]
        object_bytes: Option<u64>,
        /// Whether to record each URL that is given out: who was given it, and when.
        #[arg(long, value_name = "on|off", default_value = "off")]
        record_urls: Switch,
        #[command(flatten)]
        tenant: NamedTenant,
    },
    /// Accept no key of a tenant until `resume`. URLs that were given out still work until they
    /// expire.
    #[command(after_help = "Example: asset-ledger tenant suspend acme --data ./data")]
    Suspend {
        /// Why, in up to 256 bytes.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        tenant: NamedTenant,
    },
    /// Accept the keys of a suspended tenant again.
    #[command(after_help = "Example: asset-ledger tenant resume acme --data ./data")]
    Resume(NamedTenant),
    /// List the tenants that were created. Reads the whole journal.
    #[command(after_help = "Example: asset-ledger tenant list --data ./data")]
    List(Box<StoreOptions>),
    /// Show a tenant, its limits and its live keys.
    #[command(after_help = "Example: asset-ledger tenant show acme --data ./data")]
    Show(NamedTenant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Args)]
struct NamedTenant {
    /// The tenant; without it that of --tenant.
    name: Option<Tenant>,
    #[command(flatten)]
    by: Operator,
    #[command(flatten)]
    stores: Box<StoreOptions>,
}

impl TenantArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        use AccessCommand as C;
        match self.command {
            TenantCommand::Create(tenant) => {
                tenant.change(&C::Create, ["created", "exists already"], OpenMode::OrCreate).await
            }
            TenantCommand::Limit {
                declared_only,
                url_seconds,
                assets,
                awaiting,
                bytes,
                object_bytes,
                record_urls,
                tenant,
            } => {
                let limits = TenantLimits {
                    declared_only,
                    url_seconds,
                    assets,
                    awaiting,
                    bytes,
                    object_bytes,
                    record_urls: record_urls == Switch::On,
                    unknown: BTreeSet::new(),
                };
                let told = ["limited", "has these limits already"];
                tenant.change(&C::Limit(limits), told, OpenMode::Existing).await
            }
            TenantCommand::Suspend { reason, tenant } => {
                let reason = reason.map(Reason::new).transpose()?;
                let told = ["suspended", "is suspended already"];
                tenant.change(&C::Suspend(reason), told, OpenMode::Existing).await
            }
            TenantCommand::Resume(tenant) => {
                let told = ["resumed", "is not suspended"];
                tenant.change(&C::Resume, told, OpenMode::Existing).await
            }
            TenantCommand::List(stores) => list(&stores).await,
            TenantCommand::Show(tenant) => tenant.show().await,
        }
    }
}

impl NamedTenant {
    fn tenant(&self) -> Tenant {
        self.name.clone().unwrap_or_else(|| self.stores.home_tenant())
    }

    async fn change(
        &self,
        command: &AccessCommand,
        [done, already]: [&str; 2],
        open: OpenMode,
    ) -> anyhow::Result<()> {
        let tenant = self.tenant();
        let access = self.stores.access(open).await?;
        let caller = self.by.caller(&tenant);
        let changed = access.execute(&caller, command).await;
        let (_, recorded) = changed.map_err(|refusal| refused(&caller, refusal))?;
        let told = if recorded { done } else { already };
        Ok(writeln!(io::stderr(), "tenant {tenant} {told}")?)
    }

    async fn show(&self) -> anyhow::Result<()> {
        let tenant = self.tenant();
        let history = self.stores.access(OpenMode::ReadOnly).await?.history(&tenant).await?;
        let Some(history) = history else { bail!("there is no tenant {tenant}") };
        let access = history.access();
        let mut out = io::stdout().lock();
        writeln!(out, "tenant {tenant} is {}", standing(access))?;
        writeln!(out, "limits: {}", limits(&access.limits))?;
        let live = access.live(SystemEffects.now()).count();
        writeln!(
            out,
            "{}; `key list --tenant {tenant}` shows them",
            count(live as u64, "live key")
        )?;
        let events = count(access.version, "event");
        Ok(writeln!(out, "hash chain verified: {events}, head {}", access.head)?)
    }
}

fn standing(access: &TenantAccess) -> &'static str {
    if access.suspended { "suspended" } else { "active" }
}

fn limits(limits: &TenantLimits) -> String {
    let quota = |limit: Option<u64>, what| limit.map(|it| format!("{} {what}", count(it, "asset")));
    let bytes = |limit: Option<u64>, what| limit.map(|it| format!("{} {what}", count(it, "byte")));
    let known = [
        limits.declared_only.then(|| "declared uploads only".to_owned()),
        limits.url_seconds.map(|it| format!("URLs live {} at most", count(it, "second"))),
        quota(limits.assets, "in all"),
        quota(limits.awaiting, "awaited at once"),
        bytes(limits.bytes, "in all"),
        bytes(limits.object_bytes, "an object"),
        limits.record_urls.then(|| "URLs are recorded".to_owned()),
    ];
    let unknown = limits.unknown.iter().map(|name| format!("{name} (unknown to this version)"));
    let all: Vec<_> = known.into_iter().flatten().chain(unknown).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

async fn list(stores: &StoreOptions) -> anyhow::Result<()> {
    let (journal, access) = (stores.journal().await?, stores.access(OpenMode::ReadOnly).await?);
    let mut tenants = BTreeSet::new();
    for segment in journal.segments(1).await? {
        let mut chains = Chains::new(journal.as_ref(), &segment, None);
        while let Some(chain) = chains.next().await? {
            let key = PartitionKey::from_partition(&chain.partition);
            tenants.extend(key.and_then(|key| AccessStream::of(&key)).map(|it| it.0));
        }
    }
    let mut rows = Vec::new();
    for tenant in tenants {
        let Some(history) = access.history(&tenant).await? else { continue };
        let access = history.access();
        let live = access.live(SystemEffects.now()).count();
        let created = ledger::time::format(access.created_at);
        let limits = limits(&access.limits);
        rows.push(vec![
            tenant.to_string(),
            standing(access).to_owned(),
            live.to_string(),
            created,
            limits,
        ]);
    }
    let headers = ["tenant", "state", "live keys", "created (UTC)", "limits"];
    let mut out = io::stdout().lock();
    if rows.is_empty() {
        return Ok(writeln!(out, "no tenant was created")?);
    }
    Ok(writeln!(out, "{}", table::fit(&headers, &rows, &[0, 1, 3], table::columns()))?)
}
