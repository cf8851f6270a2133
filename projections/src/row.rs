//! The stored form of a row: flat attributes, each named once, in this file.
//!
//! Every read table stores these attributes with a key of its own. A row has all of an [`Asset`],
//! so reading one returns exactly the asset that was put.

mod table;

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use ledger::StoreError;
use ledger::asset::{Asset, AssetStatus, Declaration, Life, UploadKind};
use ledger::error::StoreErrorKind;
use ledger::id::Key;
use ledger::objects::ObjectVersion;
use ledger::time;
use serde::{Deserialize, Serialize};

pub use self::table::ColumnTable;

/// How long a purged asset's row stays: well beyond the 24 hours within which a stream may deliver
/// a late duplicate of an earlier event, which could otherwise restore the asset.
pub const TOMBSTONE: TimeDelta = TimeDelta::days(8);

/// Generates the struct and all code that handles each attribute, so that a new attribute takes one
/// line.
macro_rules! row {
    ($a:lifetime; $( $(#[$meta:meta])* $name:ident: $type:ty, )*) => {
        /// An asset as flat attributes. The texts are borrowed where they are stored as they are.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Row<$a> { $( $(#[$meta])* pub $name: $type, )* }

        impl<$a> Row<$a> {
            /// The names of the attributes, in their stored order.
            pub const ATTRIBUTES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The attributes as columns, in the same order.
            pub fn columns(&self) -> Result<Vec<Column<'_>>, AttributeError> {
                Ok(vec![$(self.$name.column().ok_or(AttributeError(stringify!($name)))?),*])
            }

            /// The attributes read from columns in the same order.
            pub fn of_columns(
                mut columns: impl Iterator<Item = Column<$a>>,
            ) -> Result<Self, AttributeError> {
                Ok(Self {
                    $($name: columns.next().and_then(Attribute::of_column)
                        .ok_or(AttributeError(stringify!($name)))?,)*
                })
            }
        }
    };
}

row! {
    'a;
    /// The number of the asset's events.
    version: u64,
    /// The hash of the last event, in hex.
    head: Cow<'a, str>,
    /// `CREATED`, `RECEIVED`, `UPLOADED`, `DELETED`, `PURGING` or `PURGED`.
    state: Cow<'a, str>,
    /// Whether the upload was confirmed; the state of a deleted asset does not show it.
    confirmed: bool,
    /// The time of the first event.
    created_at: Cow<'a, str>,
    /// The time of the last event.
    updated_at: Cow<'a, str>,
    /// How the upload URL is signed: `plain` or `declared`.
    upload: Cow<'a, str>,
    /// The file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filename: Option<Cow<'a, str>>,
    /// The file's media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<Cow<'a, str>>,
    /// Bytes, as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    declared_size: Option<u64>,
    /// SHA-256 in hex, as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    declared_sha256: Option<Cow<'a, str>>,
    /// The client's tags.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    tags: Tags<'a>,
    /// The pinned version of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version_id: Option<Cow<'a, str>>,
    /// Its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// Its SHA-256 in hex, if S3 knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Cow<'a, str>>,
    /// Its entity tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<Cow<'a, str>>,
    /// The reason of the deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    /// When a tombstone expires, in epoch seconds (the form of DynamoDB's TTL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// The subject who created the asset. Rows of older versions of this program have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Cow<'a, str>>,
}

/// An attribute's value in a store of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column<'a> {
    /// No value.
    Null,
    /// A number or a truth value (0 or 1).
    Integer(i64),
    /// Text.
    Text(Cow<'a, str>),
    /// A type that no attribute has.
    Other,
}

/// A type of attributes. `None` is a value that is not valid for it.
trait Attribute<'a>: Sized {
    fn column(&self) -> Option<Column<'_>>;
    fn of_column(column: Column<'a>) -> Option<Self>;
}

impl<'a> Attribute<'a> for Cow<'a, str> {
    fn column(&self) -> Option<Column<'_>> {
        Some(Column::Text(Cow::Borrowed(self)))
    }

    fn of_column(column: Column<'a>) -> Option<Self> {
        if let Column::Text(text) = column { Some(text) } else { None }
    }
}

impl Attribute<'_> for i64 {
    fn column(&self) -> Option<Column<'_>> {
        Some(Column::Integer(*self))
    }

    fn of_column(column: Column<'_>) -> Option<Self> {
        if let Column::Integer(number) = column { Some(number) } else { None }
    }
}

impl Attribute<'_> for u64 {
    fn column(&self) -> Option<Column<'_>> {
        i64::try_from(*self).ok().map(Column::Integer)
    }

    fn of_column(column: Column<'_>) -> Option<Self> {
        i64::of_column(column)?.try_into().ok()
    }
}

impl Attribute<'_> for bool {
    fn column(&self) -> Option<Column<'_>> {
        Some(Column::Integer((*self).into()))
    }

    fn of_column(column: Column<'_>) -> Option<Self> {
        Some(i64::of_column(column)? != 0)
    }
}

impl<'a, T: Attribute<'a>> Attribute<'a> for Option<T> {
    fn column(&self) -> Option<Column<'_>> {
        self.as_ref().map_or(Some(Column::Null), T::column)
    }

    fn of_column(column: Column<'a>) -> Option<Self> {
        if column == Column::Null { Some(None) } else { T::of_column(column).map(Some) }
    }
}

/// JSON text.
impl<'a> Attribute<'a> for Tags<'a> {
    fn column(&self) -> Option<Column<'_>> {
        if self.is_empty() {
            return Some(Column::Text("{}".into()));
        }
        Some(Column::Text(serde_json::to_string(self).ok()?.into()))
    }

    fn of_column(column: Column<'a>) -> Option<Self> {
        if let Column::Text(text) = column { serde_json::from_str(&text).ok() } else { None }
    }
}

/// An invalid attribute: the row was altered, or a newer program wrote it.
#[derive(Debug, thiserror::Error)]
#[error("attribute {0:?} is not of its form")]
pub struct AttributeError(&'static str);

impl<'a> From<&'a Asset> for Row<'a> {
    fn from(asset: &'a Asset) -> Self {
        let Asset { declared, pin, owner, .. } = asset;
        Self {
            version: asset.version,
            head: asset.head.to_string().into(),
            state: state(asset.status()).into(),
            confirmed: asset.confirmed,
            created_at: time::format(asset.created_at).into(),
            updated_at: time::format(asset.updated_at).into(),
            upload: upload(declared.upload).into(),
            filename: borrowed(declared.filename.as_ref()),
            content_type: borrowed(declared.content_type.as_ref()),
            declared_size: declared.size,
            declared_sha256: borrowed(declared.sha256.as_ref()),
            tags: Tags(Cow::Borrowed(&declared.tags)),
            version_id: borrowed(pin.as_ref().map(|pin| &pin.version_id)),
            size: pin.as_ref().map(|pin| pin.size),
            sha256: borrowed(pin.as_ref().and_then(|pin| pin.sha256.as_ref())),
            etag: borrowed(pin.as_ref().map(|pin| &pin.etag)),
            reason: borrowed(reason(&asset.life)),
            expires_at: expires_at(asset).map(|at| at.timestamp()),
            owner: borrowed(owner.as_ref()),
        }
    }
}

fn borrowed(text: Option<&String>) -> Option<Cow<'_, str>> {
    text.map(Into::into)
}

fn owned(text: Option<Cow<'_, str>>) -> Option<String> {
    text.map(Cow::into_owned)
}

impl Row<'_> {
    /// The asset that was put under `key`.
    pub fn asset(self, key: Key) -> Result<Asset, StoreError> {
        let named = key.clone();
        self.parse(key).map_err(|unfit| {
            StoreError::caused(
                StoreErrorKind::Corrupt,
                format!("the row of {} cannot be read", named.partition()),
                unfit,
            )
        })
    }

    fn parse(mut self, key: Key) -> Result<Asset, AttributeError> {
        let (pin, life) = (self.take_pin()?, self.take_life()?);
        let asset = Asset {
            key,
            version: self.version,
            head: self.head.parse().map_err(|_| AttributeError("head"))?,
            created_at: time::parse(&self.created_at).ok_or(AttributeError("created_at"))?,
            updated_at: time::parse(&self.updated_at).ok_or(AttributeError("updated_at"))?,
            owner: owned(self.owner),
            declared: Declaration {
                upload: read_upload(&self.upload)?,
                filename: owned(self.filename),
                content_type: owned(self.content_type),
                size: self.declared_size,
                sha256: owned(self.declared_sha256),
                tags: self.tags.0.into_owned(),
            },
            pin,
            confirmed: self.confirmed,
            life,
        };
        // The attributes that are derived from the asset must match it.
        if state(asset.status()) != self.state {
            return Err(AttributeError("state"));
        }
        if self.reason.is_some() {
            return Err(AttributeError("reason"));
        }
        if expires_at(&asset).map(|at| at.timestamp()) != self.expires_at {
            return Err(AttributeError("expires_at"));
        }
        Ok(asset)
    }

    fn take_pin(&mut self) -> Result<Option<ObjectVersion>, AttributeError> {
        match (self.version_id.take(), self.size, self.sha256.take(), self.etag.take()) {
            (Some(version_id), Some(size), sha256, Some(etag)) => {
                let (version_id, etag) = (version_id.into_owned(), etag.into_owned());
                Ok(Some(ObjectVersion { version_id, size, sha256: owned(sha256), etag }))
            }
            (None, None, None, None) => Ok(None),
            _ => Err(AttributeError("version_id")),
        }
    }

    /// Leaves the reason if it is not one of this stage.
    fn take_life(&mut self) -> Result<Life, AttributeError> {
        match &*self.state {
            "CREATED" | "RECEIVED" | "UPLOADED" => Ok(Life::Live),
            "DELETED" => Ok(Life::Deleted { reason: owned(self.reason.take()) }),
            "PURGING" => Ok(Life::Purging),
            "PURGED" => Ok(Life::Purged),
            _ => Err(AttributeError("state")),
        }
    }
}

/// When the asset's row may be dropped; `None` while it is not a tombstone. Nothing follows a
/// purge, so the last event of a purged asset is `purged`.
#[must_use]
pub fn expires_at(asset: &Asset) -> Option<DateTime<Utc>> {
    (asset.life == Life::Purged).then(|| asset.updated_at + TOMBSTONE)
}

/// Every state of a row.
pub const STATES: [AssetStatus; 6] = {
    use AssetStatus as S;
    [S::Created, S::Received, S::Uploaded, S::Deleted, S::Purging, S::Purged]
};

/// The state as stored in a row.
#[must_use]
pub fn state(status: AssetStatus) -> &'static str {
    match status {
        AssetStatus::Purging => "PURGING",
        shown => shown.shown(),
    }
}

fn reason(life: &Life) -> Option<&String> {
    if let Life::Deleted { reason } = life { reason.as_ref() } else { None }
}

fn upload(kind: UploadKind) -> &'static str {
    match kind {
        UploadKind::Plain => "plain",
        UploadKind::Declared => "declared",
    }
}

fn read_upload(text: &str) -> Result<UploadKind, AttributeError> {
    match text {
        "plain" => Ok(UploadKind::Plain),
        "declared" => Ok(UploadKind::Declared),
        _ => Err(AttributeError("upload")),
    }
}

/// Tags: JSON text in every store. DynamoDB has maps, but none with an empty name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags<'a>(pub Cow<'a, BTreeMap<String, String>>);

impl Tags<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use ledger::chain::Hash;
    use ledger::id::AssetId;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Story;

    type Alteration = fn(&mut Row<'_>);

    /// SQLite's maximum; DynamoDB's is larger.
    const MOST: u64 = i64::MAX as u64;

    prop_compose! {
        fn declarations()(
            upload in prop::sample::select(vec![UploadKind::Plain, UploadKind::Declared]),
            filename: Option<String>,
            content_type: Option<String>,
            size in prop::option::of(0..=MOST),
            sha256: Option<String>,
            tags in prop::collection::btree_map(any::<String>(), any::<String>(), 0..5),
        ) -> Declaration {
            Declaration { upload, filename, content_type, size, sha256, tags }
        }
    }

    prop_compose! {
        fn pins()(
            version_id: String,
            size in 0..=MOST,
            sha256: Option<String>,
            etag: String,
        ) -> ObjectVersion {
            ObjectVersion { version_id, size, sha256, etag }
        }
    }

    fn lives() -> impl Strategy<Value = Life> {
        let deleted = any::<Option<String>>().prop_map(|reason| Life::Deleted { reason });
        prop_oneof![Just(Life::Live), deleted, Just(Life::Purging), Just(Life::Purged)]
    }

    fn times() -> impl Strategy<Value = DateTime<Utc>> {
        // From 1970 to the last microsecond of the year 9999.
        (0..253_402_300_800_000_000_i64).prop_map(|micros| Utc.timestamp_micros(micros).unwrap())
    }

    prop_compose! {
        fn assets()(
            version in 1..=MOST,
            head: [u8; 32],
            (created_at, updated_at) in (times(), times()),
            declared in declarations(),
            pin in prop::option::of(pins()),
            confirmed: bool,
            life in lives(),
            owner: Option<String>,
            random: u128,
        ) -> Asset {
            let asset = AssetId::new(created_at, random);
            let key = Key { tenant: "main".parse().unwrap(), asset };
            let head = Hash::of(&head);
            Asset {
                key,
                version,
                head,
                created_at,
                updated_at,
                owner,
                declared,
                pin,
                confirmed,
                life,
            }
        }
    }

    proptest! {
        #[test]
        fn a_row_gives_back_every_asset(asset in assets()) {
            let row = Row::from(&asset);
            prop_assert_eq!(row.asset(asset.key.clone()).unwrap(), asset);
        }

        #[test]
        fn a_row_survives_being_columns(asset in assets()) {
            let row = Row::from(&asset);
            let columns = row.columns().unwrap();
            prop_assert_eq!(columns.len(), Row::ATTRIBUTES.len());
            let read = Row::of_columns(columns.into_iter()).unwrap();
            prop_assert_eq!(&read, &row);
            prop_assert_eq!(read.asset(asset.key.clone()).unwrap(), asset);
        }

        #[test]
        fn a_row_survives_being_attributes(asset in assets()) {
            let row = Row::from(&asset);
            let attributes = serde_json::to_value(&row).unwrap();
            let known = |name: &String| Row::ATTRIBUTES.contains(&name.as_str());
            prop_assert!(attributes.as_object().unwrap().keys().all(known));
            prop_assert_eq!(serde_json::from_value::<Row<'_>>(attributes).unwrap(), row);
        }
    }

    #[test]
    fn a_tombstone_expires_eight_days_after_the_purge() {
        let story = Story::begin("main", 1).received().deleted().purged();
        let purged = story.asset();
        let row = Row::from(&purged);
        assert_eq!(row.expires_at, Some(purged.updated_at.timestamp() + 8 * 86_400));
        assert_eq!(Row::from(&story.at(story.version() - 1)).expires_at, None);
    }

    #[test]
    fn a_row_that_was_altered_is_refused() {
        let asset = Story::begin("main", 1).received().asset();
        let alterations: [(&str, Alteration); 11] = [
            ("head", |row| row.head.to_mut().push('0')),
            ("state", |row| row.state = "LOST".into()),
            ("state", |row| row.state = "UPLOADED".into()),
            ("upload", |row| row.upload = "".into()),
            ("created_at", |row| row.created_at = "yesterday".into()),
            ("updated_at", |row| row.updated_at.to_mut().push('Z')),
            ("version_id", |row| row.version_id = None),
            ("version_id", |row| row.size = None),
            ("version_id", |row| row.etag = None),
            ("reason", |row| row.reason = Some("none".into())),
            ("expires_at", |row| row.expires_at = Some(0)),
        ];
        for (attribute, alter) in alterations {
            let mut row = Row::from(&asset);
            alter(&mut row);
            let error = row.asset(asset.key.clone()).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Corrupt);
            assert!(ledger::error::chain(&error).contains(attribute), "{error:?}");
        }
    }
}
