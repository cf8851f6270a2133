//! The state of the routes: stores, settings and limits.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::FromRef;
use ledger::Effects;
use ledger::access::AccessService;
use ledger::asset::{Asset, Rejection};
use ledger::history::History;
use ledger::id::{AssetId, Tenant};
use ledger::service::{Caller, LedgerService};
use ledger::url_log::UrlLog;
use projections::{Feed, Reader, TotalsReader};

use super::errors::Problem;
use super::iam::IamGrants;
use super::meter::{Meter, MetricsSource};
use super::middleware::auth::Gate;
use super::middleware::origin::AllowedHosts;
use super::middleware::rate::{CallerRates, RatePolicy};
use super::principal::AuthMode;
use super::quotas::Quotas;
use super::readiness::Check;
use crate::jwt::TokenVerifier;
use crate::presign::Presigner;

/// The state of the API.
pub struct Api {
    /// The commands.
    pub service: Arc<LedgerService>,
    /// The reads.
    pub reader: Reader,
    /// The totals of tenants.
    pub totals: Arc<TotalsReader>,
    /// The feed of all assets.
    pub feed: Arc<dyn Feed>,
    /// Signs the URLs.
    pub presigner: Arc<dyn Presigner>,
    /// The keys and limits of tenants.
    pub access: Arc<AccessService>,
    /// The access logs of tenants.
    pub urls: Arc<UrlLog>,
    /// Checks tokens; without, no issuer is trusted.
    pub tokens: Option<Arc<TokenVerifier>>,
    /// What callers with a signature of IAM may do; without, everything to the home tenant.
    pub iam: Option<Arc<IamGrants>>,
    /// Who decides which requests are served.
    pub auth: AuthMode,
    /// The tenant of callers whose credential names none.
    pub tenant: Tenant,
    /// The clock and randomness.
    pub effects: Arc<dyn Effects>,
    /// The checks of `/readyz`.
    pub checks: Arc<[Arc<dyn Check>]>,
    /// The limits of requests.
    pub limits: Limits,
    /// The host names that the server accepts.
    pub hosts: AllowedHosts,
    /// The source of `/metrics`, if they are told here.
    pub meter: Option<Arc<dyn MetricsSource>>,
}

/// The limits of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// An upload URL.
    pub upload_expiry: Duration,
    /// A download URL by default: 60 s, as in the original service.
    pub download_default: Duration,
    /// A download URL at most.
    pub download_max: Duration,
    /// A request, which is then answered with 503.
    pub deadline: Duration,
    /// The requests of each caller, who must then have a credential.
    pub rate: Option<RatePolicy>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            upload_expiry: Duration::from_mins(15),
            download_default: Duration::from_mins(1),
            download_max: Duration::from_hours(1),
            deadline: Duration::from_secs(30),
            rate: None,
        }
    }
}

/// A text that is made when it is first needed.
pub(super) type LazyText = LazyLock<Arc<str>, Box<dyn FnOnce() -> Arc<str> + Send>>;

/// The state of the router. Axum copies it for every request.
#[derive(Clone)]
pub(super) struct SharedApi {
    pub(super) api: Arc<Api>,
    pub(super) quotas: Arc<Quotas>,
    pub(super) description: Arc<LazyText>,
}

impl FromRef<SharedApi> for Arc<Quotas> {
    fn from_ref(shared: &SharedApi) -> Self {
        Self::clone(&shared.quotas)
    }
}

impl FromRef<SharedApi> for Arc<Api> {
    fn from_ref(shared: &SharedApi) -> Self {
        Self::clone(&shared.api)
    }
}

/// The description of the API.
impl FromRef<SharedApi> for Arc<str> {
    fn from_ref(shared: &SharedApi) -> Self {
        LazyLock::force(&shared.description).clone()
    }
}

impl FromRef<SharedApi> for Meter {
    fn from_ref(shared: &SharedApi) -> Self {
        Self(shared.api.meter.clone())
    }
}

impl Api {
    /// What decides about callers.
    pub(super) fn gate(&self) -> Gate {
        let rates = self.limits.rate.map(|policy| Arc::new(CallerRates::new(policy)));
        let (home, access) = (self.tenant.clone(), Arc::clone(&self.access));
        let (tokens, iam) = (self.tokens.clone(), self.iam.clone());
        Gate { mode: self.auth, home, access, tokens, iam, rates }
    }

    /// The current state of an asset that the caller reaches; also of a purged one.
    ///
    /// For a caller of its own assets it is folded, whatever its row says: then an asset of others
    /// and one that does not exist cost the same reads.
    pub(super) async fn current(&self, caller: &Caller, id: AssetId) -> Result<Asset, Problem> {
        if caller.own_only {
            return Ok(self.past(caller, id).await?.asset().clone());
        }
        let asset = self.reader.current(&caller.key(id)).await?;
        asset.ok_or_else(|| Problem::rejected(id, &Rejection::NotFound))
    }

    /// All events of an asset that the caller reaches, also of a purged one.
    pub(super) async fn past(&self, caller: &Caller, id: AssetId) -> Result<History, Problem> {
        let history = self.service.history(&caller.key(id)).await?;
        let reached = history.filter(|history| caller.reaches(history.asset()));
        reached.ok_or_else(|| Problem::rejected(id, &Rejection::NotFound))
    }
}
