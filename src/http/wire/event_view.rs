//! Something that happened to an asset, as histories and the feed show it.

use std::borrow::Cow;

use ledger::id::AssetId;
use ledger::record::StoredLine;
use projections::feed::EventHeader;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Something that happened to an asset.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView<'a> {
    /// Its place in the history, from 1.
    pub(crate) version: u64,
    /// What happened.
    #[schema(example = "uploaded")]
    r#type: Cow<'a, str>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Cow<'a, str>,
    /// Who did it.
    #[schema(example = "anonymous")]
    actor: Cow<'a, str>,
    /// Through which door: `api`, `s3`, `cli` or `reconcile`.
    #[schema(example = "api")]
    source: Cow<'a, str>,
    /// In which request.
    request: Cow<'a, str>,
    /// What else is to say of it.
    #[schema(value_type = Object)]
    data: &'a RawValue,
    /// The event's id: the SHA-256 of its stored bytes.
    hash: String,
    /// The hash of the event before; zeros for the first.
    prev: Cow<'a, str>,
}

impl<'a> EventView<'a> {
    /// The event as it is stored; `None` for what is no event.
    pub(crate) fn of(line: &'a StoredLine) -> Option<Self> {
        let EventHeader { version, kind, at, actor, source, request, data, prev } =
            EventHeader::read(&line.body)?;
        let hash = line.hash().to_string();
        Some(Self { version, r#type: kind, at, actor, source, request, data, hash, prev })
    }
}

/// Something that happened to one of all assets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AssetEvent)]
pub(crate) struct FeedEventView<'a> {
    /// To which asset.
    asset_id: String,
    /// What happened.
    #[serde(flatten)]
    event: EventView<'a>,
}

impl<'a> FeedEventView<'a> {
    /// The event as it is stored; `None` for what is no event.
    pub(crate) fn of(asset: AssetId, line: &'a StoredLine) -> Option<Self> {
        Some(Self { asset_id: asset.to_string(), event: EventView::of(line)? })
    }
}
