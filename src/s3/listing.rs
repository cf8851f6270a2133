//! `ListObjectVersions`: every version and delete marker, by key and then newest first.

use s3s::dto::{
    DeleteMarkerEntry, ETag, EncodingType, ListObjectVersionsInput, ListObjectVersionsOutput,
    ObjectVersion, ObjectVersionStorageClass,
};
use s3s::{S3Result, s3_error};

use super::refusal::failed;
use super::rows::{Version, VersionCursor};
use super::store::ObjectStore;
use super::view::{signed, stamp};
use crate::percent;

/// Versions in one page, as in S3.
const MOST: usize = 1_000;

/// One page.
pub(super) async fn page(
    store: &ObjectStore,
    input: ListObjectVersionsInput,
) -> S3Result<ListObjectVersionsOutput> {
    if input.delimiter.as_ref().is_some_and(|d| !d.is_empty()) {
        return Err(s3_error!(NotImplemented, "Versions are listed without a delimiter"));
    }
    let asked = input.max_keys.map_or(Ok(MOST), usize::try_from);
    let limit = asked.map_err(|_| s3_error!(InvalidArgument, "max-keys"))?.min(MOST);
    let after = after(store, &input).await?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let found = store.list(prefix, after, limit + 1).await;
    let mut found = found.map_err(|error| failed(&error))?;
    // S3 answers max-keys=0 with an empty page that is the last.
    let more = limit > 0 && found.len() > limit;
    found.truncate(limit);
    Ok(shown(store, input, found, limit, more))
}

/// The start of the page.
async fn after(store: &ObjectStore, input: &ListObjectVersionsInput) -> S3Result<VersionCursor> {
    let key = input.key_marker.clone().unwrap_or_default();
    let Some(marker) = input.version_id_marker.as_deref().filter(|id| !id.is_empty()) else {
        return Ok(VersionCursor { key, change: None });
    };
    if key.is_empty() {
        let text = "A version-id marker cannot be specified without a key marker.";
        return Err(s3_error!(InvalidArgument, "{text}"));
    }
    if let Some((_, change)) = marker.split_once('.') {
        let change = i64::from_str_radix(change, 16);
        let change = change.map_err(|_| s3_error!(InvalidArgument, "version-id-marker"))?;
        return Ok(VersionCursor { key, change: Some(change) });
    }
    let version = store.named(&key, marker).await.map_err(|error| failed(&error))?;
    let version = version.ok_or_else(|| s3_error!(InvalidArgument, "version-id-marker"))?;
    Ok(VersionCursor { key, change: Some(version.change) })
}

/// The position of a version in the list. It stays valid after the version is deleted, so that a
/// client which deletes the versions of a page can request the next one.
fn place(version: &Version) -> String {
    format!("{}.{:x}", version.id, version.change)
}

fn shown(
    store: &ObjectStore,
    input: ListObjectVersionsInput,
    found: Vec<(Version, bool)>,
    limit: usize,
    more: bool,
) -> ListObjectVersionsOutput {
    let url = input.encoding_type.as_ref().is_some_and(|e| e.as_str() == EncodingType::URL);
    // For keys that XML cannot represent.
    let write = |text: String| if url { percent::path(&text) } else { text };
    let last = found.last().filter(|_| more).map(|(v, _)| (v.key.clone(), place(v)));
    let (next_key, next_version) = last.unzip();
    let (versions, markers): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(version, _)| version.content.is_some());
    ListObjectVersionsOutput {
        name: Some(store.bucket.clone()),
        prefix: Some(write(input.prefix.unwrap_or_default())),
        key_marker: Some(write(input.key_marker.unwrap_or_default())),
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        max_keys: i32::try_from(limit).ok(),
        encoding_type: input.encoding_type,
        is_truncated: Some(more),
        next_key_marker: next_key.map(write),
        next_version_id_marker: next_version,
        versions: Some(versions.into_iter().map(|(v, now)| object(v, now, write)).collect()),
        delete_markers: Some(markers.into_iter().map(|(v, now)| deletion(v, now, write)).collect()),
        ..ListObjectVersionsOutput::default()
    }
}

fn object(version: Version, latest: bool, write: impl Fn(String) -> String) -> ObjectVersion {
    let standard = ObjectVersionStorageClass::STANDARD;
    ObjectVersion {
        key: Some(write(version.key)),
        version_id: Some(version.id),
        is_latest: Some(latest),
        last_modified: Some(stamp(version.at)),
        e_tag: version.content.as_ref().map(|content| ETag::Strong(content.etag())),
        size: version.content.as_ref().map(|content| signed(content.size)),
        storage_class: Some(ObjectVersionStorageClass::from_static(standard)),
        ..ObjectVersion::default()
    }
}

fn deletion(version: Version, latest: bool, write: impl Fn(String) -> String) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        key: Some(write(version.key)),
        version_id: Some(version.id),
        is_latest: Some(latest),
        last_modified: Some(stamp(version.at)),
        ..DeleteMarkerEntry::default()
    }
}
