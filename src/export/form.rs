//! The names and limits of an export, and its manifest.

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use ledger::chain::Hash;
use ledger::id::{AssetId, Key, PartitionKey, StreamId, Tenant};
use ledger::record::StoredLine;
use serde::{Deserialize, Serialize};

use super::filter::ExportFilter;

/// Bytes of a line: DynamoDB's limit of an item, which no event comes near.
pub(super) const LINE: u64 = 400 * 1024;
/// Bytes of one unpacked file. A segment has some 70 MB; a far larger file is an attack.
pub(super) const FILE: u64 = 16 * 1024 * 1024 * 1024;
/// Bytes of the lines of one asset. They are held at once, and examined in some four times the
/// memory. An asset has a handful of events; these are over 100,000.
pub(super) const HISTORY: usize = 64 * 1024 * 1024;
/// Lines of one asset: more than fit into its bytes, unless they are shorter than any event.
pub(super) const EVENTS: usize = 250_000;
/// Bytes of the histories that an import holds, without the one begun last.
pub(super) const UNDER_WAY: usize = HISTORY;
/// Files of an export: their names are held at once.
pub(super) const FILES: usize = 10_000_000;
/// Odd lines in a file of heads: each is reported, and with more it is no such file.
pub(super) const ODD: usize = 100;
/// Bytes of a manifest.
const MANIFEST_BYTES: u64 = 1024 * 1024;
/// Events after which a segment is closed, at the end of an asset: some 70 MB.
pub(super) const SEGMENT: u64 = 100_000;
/// Left-out assets that a manifest names; further ones are only counted.
pub(super) const NAMED: usize = 1_000;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const HEADS: &str = "heads.jsonl";
/// The heads of named streams, if there are any.
pub(super) const STREAM_HEADS: &str = "heads-streams.jsonl";
pub(super) const EVENTS_DIR: &str = "events";
pub(super) const STREAMS_DIR: &str = "streams";
pub(super) const GZIP: &str = ".gz";
const LINES: &str = ".jsonl";
const FORMAT: &str = "asset-ledger export 1";

/// The description of an export. All of it can be computed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportManifest {
    /// The name and number of this form.
    pub format: String,
    /// The writer.
    pub tool: String,
    /// Its start. Events appended later may or may not be in it.
    pub exported_at: DateTime<Utc>,
    /// The selected assets; always whole ones.
    pub selected: ExportFilter,
    /// The number of assets.
    pub assets: u64,
    /// The event count.
    pub events: u64,
    /// The Merkle root over the lines of `heads.jsonl`.
    pub root: Hash,
    /// Assets left out, because their histories do not verify or are too long.
    pub left_out: u64,
    /// The first of them.
    pub left_out_assets: Vec<String>,
    /// The named streams in it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<ExportedStreams>,
}

/// A manifest's counts of named streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedStreams {
    /// Their number.
    pub count: u64,
    /// Their event count.
    pub events: u64,
    /// The Merkle root over the lines of `heads-streams.jsonl`.
    pub root: Hash,
}

impl Default for ExportedStreams {
    /// None.
    fn default() -> Self {
        Self { count: 0, events: 0, root: Hash::of(&[]) }
    }
}

impl ExportManifest {
    pub(super) fn new(at: DateTime<Utc>, selected: ExportFilter) -> Self {
        Self {
            format: FORMAT.to_owned(),
            tool: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
            exported_at: at,
            selected,
            assets: 0,
            events: 0,
            root: Hash::of(&[]),
            left_out: 0,
            left_out_assets: Vec::new(),
            streams: None,
        }
    }

    /// Reads a manifest of this form.
    pub(super) fn read(from: impl std::io::Read) -> anyhow::Result<Self> {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut from.take(MANIFEST_BYTES + 1), &mut text)?;
        ensure!(text.len() as u64 <= MANIFEST_BYTES, "it is over {MANIFEST_BYTES} bytes");
        let form: ManifestForm = serde_json::from_str(&text).context("it is no manifest")?;
        if form.format != FORMAT {
            bail!("it is of the form {:?}; this program reads {FORMAT:?}", form.format);
        }
        serde_json::from_str(&text).context("it is no manifest")
    }
}

/// The fields of every manifest.
#[derive(Deserialize)]
struct ManifestForm {
    format: String,
}

/// Bytes of lines, as in [`HISTORY`] and [`UNDER_WAY`].
pub(super) fn bytes(lines: &[StoredLine]) -> usize {
    lines.iter().map(|line| line.body.len()).sum()
}

/// How chains are put into files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `events/<tenant>/<asset>.jsonl`: for few assets, by name.
    Asset,
    /// `events/000001.jsonl` and so on, each some 100,000 events of whole assets.
    Segment,
}

pub(super) fn segment_name(number: u64) -> String {
    format!("{EVENTS_DIR}/{number:06}{LINES}")
}

pub(super) fn asset_name(key: &Key) -> String {
    format!("{EVENTS_DIR}/{}/{}{LINES}", key.tenant, key.asset)
}

pub(super) fn stream_name(key: &PartitionKey) -> String {
    format!("{STREAMS_DIR}/{}/{}{LINES}", key.tenant, key.stream)
}

/// The owner of a file's events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TenantScope {
    /// Any assets.
    Segment,
    /// This asset.
    Asset(Key),
    /// This named stream.
    Stream(PartitionKey),
    /// Any assets and streams: the file is not of an export.
    Any,
}

/// The owner of the events in a file of this name; `None` if an export has no such file.
pub(super) fn owner(name: &str) -> Option<TenantScope> {
    let stem = name.strip_suffix(GZIP).unwrap_or(name).strip_suffix(LINES)?;
    if let Some(stem) = stem.strip_prefix(STREAMS_DIR) {
        let (tenant, name) = stem.strip_prefix('/')?.split_once('/')?;
        let (tenant, stream) = (tenant.parse().ok()?, name.parse().map(StreamId::Named).ok()?);
        return Some(TenantScope::Stream(PartitionKey { tenant, stream }));
    }
    let stem = stem.strip_prefix(EVENTS_DIR)?.strip_prefix('/')?;
    let Some((tenant, asset)) = stem.split_once('/') else {
        let digits = stem.len() >= 6 && stem.bytes().all(|b| b.is_ascii_digit());
        return digits.then_some(TenantScope::Segment);
    };
    let key = Key { tenant: tenant.parse::<Tenant>().ok()?, asset: asset.parse::<AssetId>().ok()? };
    Some(TenantScope::Asset(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_exports_own_names_are_names() {
        let id = "019aaf6b-5a00-7123-8456-0123456789ab";
        let key = Key { tenant: "main".parse().unwrap(), asset: id.parse().unwrap() };
        assert_eq!(owner(&segment_name(7)), Some(TenantScope::Segment));
        assert_eq!(owner(&asset_name(&key)), Some(TenantScope::Asset(key.clone())));
        assert_eq!(owner(&format!("{}{GZIP}", asset_name(&key))), Some(TenantScope::Asset(key)));
        let stream = PartitionKey::from_partition("main#access").unwrap();
        assert_eq!(stream_name(&stream), "streams/main/access.jsonl");
        assert_eq!(owner(&stream_name(&stream)), Some(TenantScope::Stream(stream)));
        for hostile in [
            "streams/../access.jsonl",
            "streams/main/../access.jsonl",
            "streams/main/a/access.jsonl",
            "streams/access.jsonl",
            "streams/main/Access.jsonl",
            &format!("streams/main/{id}.jsonl"),
            "events/main/access.jsonl",
            "events/../000001.jsonl",
            "/events/000001.jsonl",
            "../events/000001.jsonl",
            "events/main/../main.jsonl",
            "events/main/x/000001.jsonl",
            "events/00001.jsonl",
            "events/000001.jsonl.zst",
            "events/000001.JSONL",
            "manifest.json",
            "",
        ] {
            assert_eq!(owner(hostile), None, "{hostile}");
        }
    }
}
