//! An event as shown in histories and in the feed.

use std::borrow::Cow;

use ledger::id::AssetId;
use ledger::record::StoredLine;
use projections::feed::EventHeader;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// An event of an asset.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView<'a> {
    /// Its version in the asset's history, from 1.
    pub(crate) version: u64,
    /// The event's type.
    #[schema(example = "uploaded")]
    r#type: Cow<'a, str>,
    /// The time.
    #[schema(value_type = String, format = DateTime)]
    at: Cow<'a, str>,
    /// The actor.
    #[schema(example = "anonymous")]
    actor: Cow<'a, str>,
    /// The source: `api`, `s3`, `cli` or `reconcile`. An event that a newer version recorded may
    /// have another one, which is to be read as unknown.
    #[schema(example = "api")]
    source: Cow<'a, str>,
    /// The request id.
    request: Cow<'a, str>,
    /// The data of the event's type.
    #[schema(value_type = Object)]
    data: &'a RawValue,
    /// The event's id: the SHA-256 of its stored bytes.
    hash: String,
    /// The hash of the previous event; zeros for the first.
    prev: Cow<'a, str>,
}

impl<'a> EventView<'a> {
    /// The event as stored; `None` if the bytes are not an event.
    pub(crate) fn of(line: &'a StoredLine) -> Option<Self> {
        let EventHeader { version, kind, at, actor, source, request, data, prev } =
            EventHeader::read(&line.body)?;
        let hash = line.hash().to_string();
        Some(Self { version, r#type: kind, at, actor, source, request, data, hash, prev })
    }
}

/// An event of any asset.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AssetEvent)]
pub(crate) struct FeedEventView<'a> {
    /// The asset's id.
    asset_id: String,
    /// The event.
    #[serde(flatten)]
    event: EventView<'a>,
}

impl<'a> FeedEventView<'a> {
    /// The event as stored; `None` if the bytes are not an event.
    pub(crate) fn of(asset: AssetId, line: &'a StoredLine) -> Option<Self> {
        Some(Self { asset_id: asset.to_string(), event: EventView::of(line)? })
    }
}
