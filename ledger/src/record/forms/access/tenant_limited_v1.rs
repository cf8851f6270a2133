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
const ASSETS: &str = "assets";
const AWAITING: &str = "awaiting";
const BYTES: &str = "bytes";
const OBJECT_BYTES: &str = "object_bytes";
const RECORD_URLS: &str = "record_urls";
/// The known limits that are flags.
const FLAGS: [&str; 2] = [DECLARED_ONLY, RECORD_URLS];
/// The known limits that are numbers.
const NUMBERS: [&str; 5] = [URL_SECONDS, ASSETS, AWAITING, BYTES, OBJECT_BYTES];

impl TryFrom<BTreeMap<String, LimitV1>> for LimitsV1 {
    type Error = &'static str;

    fn try_from(limits: BTreeMap<String, LimitV1>) -> Result<Self, &'static str> {
        let limits = Self(limits);
        let is_number = |name: &&str| matches!(limits.0.get(*name), Some(LimitV1::Number(_)));
        if FLAGS.iter().any(is_number) {
            return Err("declared_only and record_urls are true or false");
        }
        let is_flag = |name: &&str| matches!(limits.0.get(*name), Some(LimitV1::Flag(_)));
        if NUMBERS.iter().any(is_flag) {
            return Err("a limit other than declared_only and record_urls is a number");
        }
        Ok(limits)
    }
}

impl LimitsV1 {
    fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(LimitV1::Flag(true)))
    }

    fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name) {
            Some(LimitV1::Number(number)) => Some(*number),
            _ => None,
        }
    }
}

impl StoredForm for TenantLimitedV1 {
    const KIND: &'static str = "tenant_limited";
    const SCHEMA: u32 = 1;

    fn within_limits(&self) -> Result<(), InvalidField> {
        let seconds = self.limits.number(URL_SECONDS);
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
        let TenantLimits { declared_only, url_seconds, assets, awaiting, .. } = limits;
        let numbers = [*url_seconds, *assets, *awaiting, limits.bytes, limits.object_bytes];
        let numbers = NUMBERS.into_iter().zip(numbers);
        let numbers = numbers.filter_map(|(name, it)| Some((name, LimitV1::Number(it?))));
        let flags = FLAGS.into_iter().zip([*declared_only, limits.record_urls]);
        let flags = flags.filter_map(|(name, it)| it.then_some((name, LimitV1::Flag(true))));
        let set = flags.chain(numbers);
        Self { limits: LimitsV1(set.map(|(name, value)| (name.to_owned(), value)).collect()) }
    }
}

impl From<TenantLimitedV1> for AccessEvent {
    fn from(TenantLimitedV1 { limits }: TenantLimitedV1) -> Self {
        let known =
            |name: &String| NUMBERS.contains(&name.as_str()) || FLAGS.contains(&name.as_str());
        Self::TenantLimited(TenantLimits {
            declared_only: limits.flag(DECLARED_ONLY),
            url_seconds: limits.number(URL_SECONDS),
            assets: limits.number(ASSETS),
            awaiting: limits.number(AWAITING),
            bytes: limits.number(BYTES),
            object_bytes: limits.number(OBJECT_BYTES),
            record_urls: limits.flag(RECORD_URLS),
            unknown: limits.0.keys().filter(|name| !known(name)).cloned().collect(),
        })
    }
}
