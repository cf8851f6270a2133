//! The one body that is taken: what a client declares of its file. Every fault in it names its
//! field.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ledger::asset::{Declaration, UploadKind};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::http::errors::{Code, Problem};

/// Bytes of a body: many times what a full declaration needs.
const BODY_MAX: usize = 64 << 10;
/// How long a body may take to come: 64 KiB at the speed of a bad telephone line.
const BODY_WAIT: Duration = Duration::from_secs(20);

/// What may be said of a file before it is uploaded; every field is optional.
#[derive(Debug, Default, ToSchema)]
#[schema(example = json!({
    "filename": "q3 report.pdf", "content_type": "application/pdf", "size": 11,
    "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    "tags": {"team": "finance"}
}))]
pub(crate) struct NewAsset {
    /// The file's name: up to 255 bytes, without a path.
    #[schema(max_length = 255)]
    filename: Option<String>,
    /// The file's media type; the upload must be of it.
    content_type: Option<String>,
    /// Bytes, up to 5 GiB; the upload must have as many.
    #[schema(maximum = 5_368_709_120_u64)]
    size: Option<u64>,
    /// SHA-256 in hex; the upload must have it.
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    sha256: Option<String>,
    /// The client's own words about the file: up to 50, and 512 bytes together.
    tags: Option<BTreeMap<String, String>>,
}

/// What the client declared: nothing without a body, and a declaration with one, even `{}`.
pub(crate) struct DeclaredBody(pub(crate) Declaration);

impl<S: Sync> FromRequest<S> for DeclaredBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(Self(Declaration::plain()));
        }
        check_is_json(&parts.headers)?;
        let declared = NewAsset::read(&bytes)?.declaration();
        Ok(Self(declared.checked()?))
    }
}

/// No body at all, on the paths that take none.
pub(crate) struct NoBody;

impl<S: Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read(request.into_body()).await?;
        let detail = "this path takes no body";
        if bytes.is_empty() { Ok(Self) } else { Err(Problem::new(Code::BodyInvalid, detail)) }
    }
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(Code::BodyTooLarge, format!("the body is over {BODY_MAX} bytes"));
    if body.size_hint().lower() > BODY_MAX as u64 {
        return Err(too_large());
    }
    match timeout(BODY_WAIT, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(Code::BodyInvalid, "the body ended before its end")),
        Err(_) => Err(Problem::new(Code::BodyTimeout, "the body did not come; send it again")),
    }
}

fn check_is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(Code::BodyUnsupported, "a body must be of Content-Type application/json"))
}

impl NewAsset {
    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let fields: Fields = serde_json::from_slice(bytes)
            .map_err(|error| invalid(format!("the body is not a JSON object: {error}")))?;
        let mut asset = Self::default();
        for (name, value) in fields.once("the body")? {
            match name.as_str() {
                "filename" => asset.filename = text(&name, &value)?,
                "content_type" => asset.content_type = text(&name, &value)?,
                "size" => asset.size = size(&value)?,
                "sha256" => asset.sha256 = text(&name, &value)?,
                "tags" => asset.tags = tags(&value)?,
                _ => return Err(unknown(&name)),
            }
        }
        Ok(asset)
    }

    fn declaration(self) -> Declaration {
        Declaration {
            upload: UploadKind::Declared,
            filename: self.filename,
            content_type: self.content_type,
            size: self.size,
            sha256: self.sha256,
            tags: self.tags.unwrap_or_default(),
        }
    }
}

fn text(name: &str, value: &RawValue) -> Result<Option<String>, Problem> {
    serde_json::from_str(value.get()).map_err(|_| invalid(format!("{name}: must be a string")))
}

/// A number of bytes; one too great to be held is too large, not malformed.
fn size(value: &RawValue) -> Result<Option<u64>, Problem> {
    let digits = value.get().bytes().all(|b| b.is_ascii_digit());
    let read = serde_json::from_str(value.get());
    let too_great = |_| digits.then_some(Some(u64::MAX)).ok_or(());
    read.or_else(too_great).map_err(|()| invalid("size: must be a whole number of bytes"))
}

fn tags(value: &RawValue) -> Result<Option<BTreeMap<String, String>>, Problem> {
    let wrong = || invalid("tags: must be an object whose values are strings");
    let fields: Option<Fields> = serde_json::from_str(value.get()).map_err(|_| wrong())?;
    let Some(fields) = fields else { return Ok(None) };
    let mut tags = BTreeMap::new();
    for (name, value) in fields.once("tags")? {
        tags.insert(name, serde_json::from_str(value.get()).map_err(|_| wrong())?);
    }
    Ok(Some(tags))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::BodyInvalid, detail)
}

fn unknown(name: &str) -> Problem {
    let shown: String = name.chars().take(64).collect();
    let known = "filename, content_type, size, sha256 and tags";
    invalid(format!("{shown:?}: is not a known field; known are {known}"))
}

/// An object as it was written: its fields in order, with those that are there twice.
struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    fn once(self, whose: &str) -> Result<Vec<(String, Box<RawValue>)>, Problem> {
        let mut seen = BTreeSet::new();
        match self.0.iter().find(|(name, _)| !seen.insert(name)) {
            None => Ok(self.0),
            Some((name, _)) => {
                let shown: String = name.chars().take(64).collect();
                Err(invalid(format!("{shown:?}: is in {whose} twice")))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}
