//! What the routes work with: stores, settings and limits.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use ledger::Effects;
use ledger::asset::{Asset, Rejection};
use ledger::history::History;
use ledger::id::{Key, Tenant};
use ledger::service::LedgerService;
use projections::{Feed, Reader};

use super::errors::Problem;
use super::middleware::origin::AllowedHosts;
use super::readiness::Check;
use crate::presign::Presigner;

/// What the API works with. A clone is the same one.
#[derive(Clone)]
pub struct Api {
    /// The commands.
    pub service: Arc<LedgerService>,
    /// The reads.
    pub reader: Reader,
    /// What happens to all assets.
    pub feed: Arc<dyn Feed>,
    /// Signs the URLs.
    pub presigner: Arc<dyn Presigner>,
    /// Whose assets callers see: one tenant, until a caller's credential names it.
    pub tenant: Tenant,
    /// The clock and chance.
    pub effects: Arc<dyn Effects>,
    /// What `/readyz` looks at.
    pub checks: Arc<[Arc<dyn Check>]>,
    /// How long things may last.
    pub limits: Limits,
    /// Under which names the server may be called.
    pub hosts: AllowedHosts,
}

/// How long things may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// An upload URL.
    pub upload_expiry: Duration,
    /// A download URL, where the client does not say: the original's 60 s.
    pub download_default: Duration,
    /// A download URL, whatever the client says.
    pub download_max: Duration,
    /// A request, which then answers 503.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            upload_expiry: Duration::from_mins(15),
            download_default: Duration::from_mins(1),
            download_max: Duration::from_hours(1),
            deadline: Duration::from_secs(30),
        }
    }
}

/// The tenant that a caller acts for.
impl FromRef<Api> for Tenant {
    fn from_ref(api: &Api) -> Self {
        api.tenant.clone()
    }
}

impl Api {
    /// The asset as it is now; purged ones too.
    pub(super) async fn current(&self, key: &Key) -> Result<Asset, Problem> {
        let asset = self.reader.current(key).await?;
        asset.ok_or_else(|| Problem::rejected(key.asset, &Rejection::NotFound))
    }

    /// Everything that happened to an asset, also to a purged one.
    pub(super) async fn past(&self, key: &Key) -> Result<History, Problem> {
        let history = self.service.history(key).await?;
        history.ok_or_else(|| Problem::rejected(key.asset, &Rejection::NotFound))
    }
}
