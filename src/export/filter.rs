//! The selection of assets and streams: always whole ones, because a part of a chain does not
//! verify.

use chrono::{DateTime, Utc};
use ledger::history::{Entry, History};
use ledger::id::PartitionKey;
use serde::{Deserialize, Serialize};

/// The conditions on an asset. Without any, all match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportFilter {
    /// Of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// An event at or after this time …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// … and before this one: the same event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// An event of this actor: the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// This state at its last event, as the API shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// One of these names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<String>,
}

impl ExportFilter {
    /// Whether it takes this asset.
    #[must_use]
    pub fn takes(&self, history: &History) -> bool {
        let asset = history.asset();
        let tenant = self.tenant.as_ref().is_none_or(|tenant| tenant == asset.key.tenant.as_str());
        let state = self.state.as_ref().is_none_or(|state| state == asset.status().shown());
        let name = asset.key.asset.to_string();
        let named = self.assets.is_empty() || self.assets.contains(&name);
        tenant && state && named && history.entries().iter().any(|entry| self.happened(entry))
    }

    /// Whether it takes this named stream: none, if assets are selected.
    #[must_use]
    pub fn takes_stream(&self, stream: &PartitionKey) -> bool {
        let all = Self { tenant: self.tenant.clone(), ..Self::default() };
        *self == all && self.tenant.as_ref().is_none_or(|tenant| tenant == stream.tenant.as_str())
    }

    fn happened(&self, Entry { record, .. }: &Entry) -> bool {
        self.since.is_none_or(|since| since <= record.at)
            && self.until.is_none_or(|until| record.at < until)
            && self.actor.as_ref().is_none_or(|actor| *actor == record.cause.actor)
    }
}
