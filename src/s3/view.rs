//! `GetObject` and `HeadObject`: selects the version, checks the caller's conditions, and returns
//! its bytes or its metadata. Reads the request itself: s3s refuses as malformed some requests that
//! S3 accepts.

use std::borrow::Cow;
use std::io::SeekFrom;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::Query;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use s3s::dto::{StreamingBlob, Timestamp};
use s3s::path::{S3Path, parse_path_style};
use s3s::route::S3Route;
use s3s::{Body, S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::checked::checked;
use super::conditions::{ConditionOutcome, Validators, same, weigh, whole_seconds};
use super::folder::broken;
use super::range::{ByteRange, asked};
use super::refusal::{beyond, failed, hidden, marker};
use super::rows::{Content, Version};
use super::store::ObjectStore;
use crate::percent;

/// Bytes read from disk at a time. A download without a reader keeps a few such blocks.
const BLOCK: usize = 32 * 1024;
/// S3's type of an object without one.
const UNTYPED: &str = "binary/octet-stream";
/// Other subresources of an object: s3s answers that they are not implemented.
const OTHERS: [&str; 8] = [
    "acl",
    "attributes",
    "legal-hold",
    "partNumber",
    "retention",
    "tagging",
    "torrent",
    "uploadId",
];
/// Parameters by which the signer of a URL sets headers of the answer. S3 ignores empty ones.
static OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-content-type", header::CONTENT_TYPE),
    ("response-expires", header::EXPIRES),
];
/// Headers about bytes, which an answer without bytes does not have.
static OF_BYTES: [HeaderName; 5] = [
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
];

/// The reads of objects, after their signature was verified.
pub(super) struct ObjectReads {
    pub(super) store: Arc<ObjectStore>,
}

#[async_trait::async_trait]
impl S3Route for ObjectReads {
    fn is_match(&self, method: &Method, uri: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let other = || parameters(uri).iter().any(|(name, _)| OTHERS.contains(&name.as_str()));
        reads && path(uri).is_some_and(|path| path.as_object().is_some()) && !other()
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let path = path(&request.uri).ok_or_else(|| s3_error!(InvalidURI))?;
        let (bucket, key) = path.as_object().ok_or_else(|| s3_error!(InvalidURI))?;
        if bucket != self.store.bucket {
            return Err(s3_error!(NoSuchBucket));
        }
        let parameters = parameters(&request.uri);
        let id = parameters.iter().find(|(name, _)| name == "versionId");
        let (version, content) = find(&self.store, key, id.map(|(_, id)| id.as_str())).await?;
        let look = look(&request.headers, version, content)?;
        let mut response = S3Response::new(Body::empty());
        response.headers = look.headers(&parameters)?;
        response.status = Some(look.status());
        if look.span.is_none() {
            for name in &OF_BYTES {
                drop(response.headers.remove(name));
            }
        } else if request.method == Method::GET {
            response.output = look.body(&self.store).await?;
        }
        Ok(response)
    }
}

pub(super) fn checksum(content: &Content) -> String {
    STANDARD.encode(content.sha256)
}

pub(super) fn stamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp::from(SystemTime::from(at))
}

/// A size as S3's types have it.
pub(super) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn path(uri: &Uri) -> Option<S3Path> {
    let path: Cow<'_, str> = percent::decode(uri.path())?;
    parse_path_style(&path).ok()
}

fn parameters(uri: &Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map(|Query(all)| all).unwrap_or_default()
}

/// A visible version, and the requested part of its bytes: none, if the caller has it already.
struct ObjectView {
    version: Version,
    content: Content,
    span: Option<Range<u64>>,
    part: bool,
}

fn look(headers: &HeaderMap, version: Version, content: Content) -> S3Result<ObjectView> {
    let etag = content.etag();
    let modified = whole_seconds(version.at.into());
    let object = Validators { etag: &etag, modified };
    let all = || 0..content.size;
    let (span, part) = match weigh(headers, &object) {
        ConditionOutcome::Failed => return Err(s3_error!(PreconditionFailed)),
        ConditionOutcome::Unchanged => (None, false),
        ConditionOutcome::Read if !same(headers, &object) => (Some(all()), false),
        ConditionOutcome::Read => match asked(headers, content.size) {
            ByteRange::Whole => (Some(all()), false),
            ByteRange::Part(part) => (Some(part), true),
            ByteRange::Beyond => return Err(beyond(content.size)),
        },
    };
    Ok(ObjectView { version, content, span, part })
}

async fn find(store: &ObjectStore, key: &str, id: Option<&str>) -> S3Result<(Version, Content)> {
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

impl ObjectView {
    fn status(&self) -> StatusCode {
        match (&self.span, self.part) {
            (None, _) => StatusCode::NOT_MODIFIED,
            (Some(_), true) => StatusCode::PARTIAL_CONTENT,
            (Some(_), false) => StatusCode::OK,
        }
    }

    /// The SHA-256 is returned also without a request for it, since it is always known.
    fn headers(&self, parameters: &[(String, String)]) -> S3Result<HeaderMap> {
        let Self { version, content, span, part } = self;
        let said = &content.headers;
        let content_type = said.content_type.as_deref().unwrap_or(UNTYPED);
        let modified = httpdate::fmt_http_date(version.at.into());
        let mut told = HeaderMap::new();
        let mut tell = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                drop(told.insert(name, value));
            } else {
                tracing::warn!(%name, "omitted a stored value that is not a valid header");
            }
        };
        tell(header::ACCEPT_RANGES, "bytes");
        tell(header::ETAG, &format!("\"{}\"", content.etag()));
        tell(header::LAST_MODIFIED, &modified);
        tell(HeaderName::from_static("x-amz-version-id"), &version.id);
        tell(header::CONTENT_TYPE, content_type);
        for (name, value) in [
            (header::CACHE_CONTROL, &said.cache_control),
            (header::CONTENT_DISPOSITION, &said.content_disposition),
            (header::CONTENT_ENCODING, &said.content_encoding),
            (header::CONTENT_LANGUAGE, &said.content_language),
        ] {
            if let Some(value) = value {
                tell(name.clone(), value);
            }
        }
        for (name, value) in &said.metadata {
            let name = HeaderName::try_from(format!("x-amz-meta-{name}"));
            if let Ok(name) = name {
                tell(name, value);
            }
        }
        if let Some(span) = span {
            tell(header::CONTENT_LENGTH, &(span.end - span.start).to_string());
            if *part {
                let shown = format!("bytes {}-{}/{}", span.start, span.end - 1, content.size);
                tell(header::CONTENT_RANGE, &shown);
            } else {
                // Of the whole object: a part has another one.
                tell(HeaderName::from_static("x-amz-checksum-sha256"), &checksum(content));
            }
        }
        for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
            let header = OVERRIDES.iter().find(|(parameter, _)| parameter == name);
            let Some((_, header)) = header else { continue };
            let refuse = |_| S3Error::with_message(s3s::S3ErrorCode::InvalidArgument, name.clone());
            told.insert(header, HeaderValue::from_str(value).map_err(refuse)?);
        }
        Ok(told)
    }

    async fn body(&self, store: &ObjectStore) -> S3Result<Body> {
        let span = self.span.clone().unwrap_or_default();
        let file = store.bytes(&self.version, self.content.size).await;
        let file = file.map_err(|error| failed(&error))?;
        let mut file = tokio::fs::File::from_std(file.ok_or_else(|| s3_error!(NoSuchVersion))?);
        file.set_max_buf_size(BLOCK);
        if span.start > 0 {
            let sought = file.seek(SeekFrom::Start(span.start)).await;
            sought.map_err(|error| failed(&broken("an object", error)))?;
        }
        let part = file.take(span.end - span.start);
        let blocks = ReaderStream::with_capacity(part, BLOCK);
        if span != (0..self.content.size) {
            return Ok(Body::from(StreamingBlob::wrap(blocks))); // the hash of a part is not known
        }
        let checked = checked(blocks, &self.version, &self.content);
        Ok(Body::from(StreamingBlob::wrap(Box::pin(checked))))
    }
}
