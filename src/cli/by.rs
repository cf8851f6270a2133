//! The operator who runs a command, as the actor of its events.

use clap::Args;
use ledger::Effects;
use ledger::access::{AccessRefusal, AccessRejection};
use ledger::id::Tenant;
use ledger::record::{CommandId, EventSource};
use ledger::service::Caller;

use crate::http::Actor;
use crate::system::SystemEffects;

/// Who runs the command.
#[derive(Debug, Clone, Args)]
pub(super) struct Operator {
    /// Your name. The event records it as `cli:NAME`; nothing checks it.
    #[arg(long, env = "USER", value_name = "NAME", default_value = "operator")]
    by: String,
}

impl Operator {
    /// The caller of a command on a tenant's access.
    pub(super) fn caller(&self, tenant: &Tenant) -> Caller {
        let request = CommandId::fresh(SystemEffects.random()).as_str().to_owned();
        let actor = Actor::new(&format!("cli:{}", self.by)).as_str().to_owned();
        Caller { tenant: tenant.clone(), actor, source: EventSource::Cli, request, own_only: false }
    }
}

/// Why a command was refused, with the remedy.
pub(super) fn refused(caller: &Caller, refusal: AccessRefusal) -> anyhow::Error {
    let tenant = &caller.tenant;
    let remedy = match refusal {
        AccessRefusal::Rejected(AccessRejection::NoTenant) => {
            format!("tenant {tenant}: `asset-ledger tenant create {tenant}` creates it")
        }
        _ => format!("tenant {tenant}"),
    };
    anyhow::Error::new(refusal).context(remedy)
}
