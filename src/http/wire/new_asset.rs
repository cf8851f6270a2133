//! A client's declaration of its file.

use std::collections::BTreeMap;
use std::fmt;

use axum::extract::{FromRequest, Request};
use ledger::asset::{Declaration, UploadKind};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::body;
use crate::http::errors::Problem;

/// The declaration of a file before the upload; every field is optional.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "filename": "q3 report.pdf", "content_type": "application/pdf", "size": 11,
    "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    "tags": {"team": "finance"}
}))]
pub(crate) struct NewAsset {
    /// The file's name: up to 255 bytes, without a path.
    #[schema(max_length = 255)]
    filename: Option<String>,
    /// The file's media type; the upload must have the same.
    content_type: Option<String>,
    /// Bytes, up to 5 GiB; the upload must have the same number.
    #[schema(maximum = 5_368_709_120_u64, value_type = Option<u64>)]
    size: Option<DeclaredSize>,
    /// SHA-256 in hex; the upload must have the same.
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    sha256: Option<String>,
    /// The client's tags for the file: up to 50, and 512 bytes together.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    tags: Option<DeclaredTags>,
}

/// The client's declaration: plain without a body, declared with one, even `{}`.
pub(crate) struct DeclaredBody(pub(crate) Declaration);

impl<S: Sync> FromRequest<S> for DeclaredBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let Some(asset) = body::json::<NewAsset>(request).await? else {
            return Ok(Self(Declaration::plain()));
        };
        let declared = Declaration {
            upload: UploadKind::Declared,
            filename: asset.filename,
            content_type: asset.content_type,
            size: asset.size.map(|size| size.0),
            sha256: asset.sha256,
            tags: asset.tags.map(|tags| tags.0).unwrap_or_default(),
        };
        Ok(Self(declared.checked()?))
    }
}

/// A number of bytes; one that overflows is too large, not malformed.
#[derive(Debug)]
struct DeclaredSize(u64);

impl<'de> Deserialize<'de> for DeclaredSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Box::<RawValue>::deserialize(deserializer)?;
        let too_great = || value.get().bytes().all(|b| b.is_ascii_digit()).then_some(u64::MAX);
        let read = serde_json::from_str(value.get()).ok().or_else(too_great);
        let wrong = || D::Error::invalid_type(Unexpected::Other("it"), &"a whole number of bytes");
        read.map(Self).ok_or_else(wrong)
    }
}

/// Tags without duplicates.
#[derive(Debug)]
struct DeclaredTags(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for DeclaredTags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TagsVisitor).map(Self)
    }
}

struct TagsVisitor;

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose values are strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tags = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            if tags.contains_key(&name) {
                return Err(body::duplicate(&name));
            }
            tags.insert(name, value);
        }
        Ok(tags)
    }
}
