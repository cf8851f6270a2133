//! `tenant_limited`, schema 1: all limits of a tenant.
//!
//! A newer program may know more limits: their names are open, as scopes and sources are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StoredForm;
use crate::access::{AccessEvent, TenantLimits, URL_SECONDS_MAX};
use crate::asset::InvalidField;
use crate::record::limits::check_text;

/// Bytes of a limit's name.
const NAME_MAX: usize = 32;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantLimitedV1 {
    limits: LimitsV1,
}

/// The limits, in the order of their names.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, LimitV1>")]
struct LimitsV1(BTreeMap<String, LimitV1>);

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum LimitV1 {
    Flag(bool),
    Number(u64),
}

const DECLARED_ONLY: &str = "declared_only";
const URL_SECONDS: &str = "url_seconds";

impl TryFrom<BTreeMap<String, LimitV1>> for LimitsV1 {
    type Error = &'static str;

    fn try_from(limits: BTreeMap<String, LimitV1>) -> Result<Self, &'static str> {
        let limits = Self(limits);
        match (limits.0.get(DECLARED_ONLY), limits.0.get(URL_SECONDS)) {
            (Some(LimitV1::Number(_)), _) => Err("declared_only is true or false"),
            (_, Some(LimitV1::Flag(_))) => Err("url_seconds is a number"),
            _ => Ok(limits),
        }
    }
}

impl LimitsV1 {
    fn declared_only(&self) -> bool {
        matches!(self.0.get(DECLARED_ONLY), Some(LimitV1::Flag(true)))
    }

    fn url_seconds(&self) -> Option<u64> {
        match self.0.get(URL_SECONDS) {
            Some(LimitV1::Number(seconds)) => Some(*seconds),
            _ => None,
        }
    }
}

impl StoredForm for TenantLimitedV1 {
    const KIND: &'static str = "tenant_limited";
    const SCHEMA: u32 = 1;

    fn within_limits(&self) -> Result<(), InvalidField> {
        let seconds = self.limits.url_seconds();
        if seconds.is_some_and(|seconds| !(1..=URL_SECONDS_MAX).contains(&seconds)) {
            let problem = format!("must be 1 to {URL_SECONDS_MAX}");
            return Err(InvalidField::new(URL_SECONDS, problem));
        }
        self.limits.0.keys().try_for_each(|name| check_text("limits", name, NAME_MAX))
    }
}

impl From<&TenantLimits> for TenantLimitedV1 {
    /// Without the unknown limits, which are never written.
    fn from(limits: &TenantLimits) -> Self {
        let declared_only = limits.declared_only.then_some((DECLARED_ONLY, LimitV1::Flag(true)));
        let url_seconds = limits.url_seconds.map(|it| (URL_SECONDS, LimitV1::Number(it)));
        let set = declared_only.into_iter().chain(url_seconds);
        Self { limits: LimitsV1(set.map(|(name, value)| (name.to_owned(), value)).collect()) }
    }
}

impl From<TenantLimitedV1> for AccessEvent {
    fn from(TenantLimitedV1 { limits }: TenantLimitedV1) -> Self {
        let (declared_only, url_seconds) = (limits.declared_only(), limits.url_seconds());
        let known = |name: &String| [DECLARED_ONLY, URL_SECONDS].contains(&name.as_str());
        let unknown = limits.0.into_keys().filter(|name| !known(name)).collect();
        Self::TenantLimited(TenantLimits { declared_only, url_seconds, unknown })
    }
}
