//! Looking at one version: which one is meant, whether the caller's conditions hold, and its
//! bytes or what is known of them.

use std::io::SeekFrom;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use s3s::dto::{
    ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    Metadata, StreamingBlob, Timestamp,
};
use s3s::{S3Result, s3_error};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::checked::checked;
use super::folder::broken;
use super::refusal::{failed, hidden, marker};
use super::rows::{Content, Version};
use super::store::Store;

/// Bytes read from disk at a time. A download that nobody reads keeps a few such blocks.
const BLOCK: usize = 32 * 1024;
/// What S3 says of bytes that nobody described.
const UNTYPED: &str = "binary/octet-stream";

/// `GetObject`.
pub(super) async fn get(store: &Store, input: &GetObjectInput) -> S3Result<GetObjectOutput> {
    let look = look(store, input).await?;
    let body = body(store, &look).await?;
    Ok(GetObjectOutput { body: Some(body), ..described(look) })
}

/// `HeadObject`: all of `GetObject` but the bytes. The SHA-256 is told whether or not it was asked
/// for, since it is always known.
pub(super) async fn head(store: &Store, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
    let asked = GetObjectInput {
        key: input.key,
        version_id: input.version_id,
        range: input.range,
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
        ..GetObjectInput::default()
    };
    let seen = described(look(store, &asked).await?);
    Ok(HeadObjectOutput {
        accept_ranges: seen.accept_ranges,
        cache_control: input.response_cache_control.or(seen.cache_control),
        checksum_sha256: seen.checksum_sha256,
        content_disposition: input.response_content_disposition.or(seen.content_disposition),
        content_encoding: input.response_content_encoding.or(seen.content_encoding),
        content_language: input.response_content_language.or(seen.content_language),
        content_length: seen.content_length,
        content_range: seen.content_range,
        content_type: input.response_content_type.or(seen.content_type),
        e_tag: seen.e_tag,
        last_modified: seen.last_modified,
        metadata: seen.metadata,
        version_id: seen.version_id,
        ..HeadObjectOutput::default()
    })
}

pub(super) fn checksum(content: &Content) -> String {
    STANDARD.encode(content.sha256)
}

pub(super) fn stamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp::from(std::time::SystemTime::from(at))
}

/// A size as S3's types have it.
pub(super) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A version that the caller may see, and which of its bytes were asked for.
struct Look {
    version: Version,
    content: Content,
    span: Range<u64>,
    part: bool,
}

async fn look(store: &Store, input: &GetObjectInput) -> S3Result<Look> {
    let (version, content) = find(store, &input.key, input.version_id.as_deref()).await?;
    hold(input, &ETag::Strong(content.etag()), version.at)?;
    let span = input.range.as_ref().map_or(Ok(0..content.size), |r| r.check(content.size))?;
    let part = input.range.is_some();
    if part && span.is_empty() {
        return Err(s3_error!(InvalidRange)); // the last bytes of nothing
    }
    Ok(Look { version, content, span, part })
}

async fn find(store: &Store, key: &str, id: Option<&str>) -> S3Result<(Version, Content)> {
    let found = match id {
        Some(id) => store.named(key, id).await,
        None => store.current(key).await,
    };
    let found = found.map_err(|error| failed(&error))?;
    let none = || if id.is_some() { s3_error!(NoSuchVersion) } else { s3_error!(NoSuchKey) };
    let mut version = found.ok_or_else(none)?;
    let marked = if id.is_some() { marker } else { hidden };
    let content = version.content.take().ok_or_else(|| marked(&version.id))?;
    Ok((version, content))
}

/// Conditions, in the order of RFC 9110, section 13.2.2: a time counts only where no tag is given.
fn hold(input: &GetObjectInput, tag: &ETag, at: DateTime<Utc>) -> S3Result<()> {
    let fits = |condition: &ETagCondition| condition.as_etag().is_none_or(|t| t.weak_cmp(tag));
    // HTTP's times have no fractions.
    let at = DateTime::from_timestamp(at.timestamp(), 0).map(stamp).unwrap_or_default();
    match (&input.if_match, &input.if_unmodified_since) {
        (Some(wanted), _) if !fits(wanted) => return Err(s3_error!(PreconditionFailed)),
        (None, Some(time)) if at > *time => return Err(s3_error!(PreconditionFailed)),
        _ => {}
    }
    match (&input.if_none_match, &input.if_modified_since) {
        (Some(known), _) if fits(known) => Err(s3_error!(NotModified)),
        (None, Some(time)) if at <= *time => Err(s3_error!(NotModified)),
        _ => Ok(()),
    }
}

fn described(look: Look) -> GetObjectOutput {
    let Look { version, content, span, part } = look;
    let shown = || format!("bytes {}-{}/{}", span.start, span.end - 1, content.size);
    let headers = &content.headers;
    let metadata: Metadata = headers.metadata.clone().into_iter().collect();
    GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: headers.cache_control.clone(),
        // Of the whole: a part has another one.
        checksum_sha256: (!part).then(|| checksum(&content)),
        content_disposition: headers.content_disposition.clone(),
        content_encoding: headers.content_encoding.clone(),
        content_language: headers.content_language.clone(),
        content_length: Some(signed(span.end - span.start)),
        content_range: part.then(shown),
        content_type: headers.content_type.clone().or_else(|| Some(UNTYPED.to_owned())),
        e_tag: Some(ETag::Strong(content.etag())),
        last_modified: Some(stamp(version.at)),
        metadata: Some(metadata).filter(|all| !all.is_empty()),
        version_id: Some(version.id),
        ..GetObjectOutput::default()
    }
}

async fn body(store: &Store, look: &Look) -> S3Result<StreamingBlob> {
    let file = store.bytes(&look.version, look.content.size).await;
    let file = file.map_err(|error| failed(&error))?.ok_or_else(|| s3_error!(NoSuchVersion))?;
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(BLOCK);
    if look.span.start > 0 {
        let sought = file.seek(SeekFrom::Start(look.span.start)).await;
        sought.map_err(|error| failed(&broken("an object", error)))?;
    }
    let part = file.take(look.span.end - look.span.start);
    let blocks = ReaderStream::with_capacity(part, BLOCK);
    if look.span != (0..look.content.size) {
        return Ok(StreamingBlob::wrap(blocks)); // of a part no hash is known
    }
    Ok(StreamingBlob::wrap(Box::pin(checked(blocks, &look.version, &look.content))))
}
