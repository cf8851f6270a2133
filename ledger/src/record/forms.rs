//! The stored forms of events: the fields under `data`, one module per form that has any.
//!
//! `type` and `schema` name a form for ever: its fields and their values never change. A change of
//! the written form is a new form with the next number. Every form is read as today's event. Only
//! the newest form of a type is written.

pub(super) mod access;
mod created_v1;
mod received_v1;
mod soft_deleted_v1;
mod stored_time;
#[cfg(test)]
mod tests;
pub(super) mod urls;
mod without_data;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use self::created_v1::CreatedV1;
use self::received_v1::ReceivedV1;
use self::soft_deleted_v1::SoftDeletedV1;
use self::without_data::{PurgeRequestedV1, PurgedV1, RestoredV1, UploadedV1};
use super::spelling::{SpelledText, is_spelling};
use crate::asset::{Event, InvalidField};

/// Every readable form.
pub(super) const FORMS: [FormReader<Event>; 7] = [
    FormReader::of::<CreatedV1>(),
    FormReader::of::<ReceivedV1>(),
    FormReader::of::<UploadedV1>(),
    FormReader::of::<SoftDeletedV1>(),
    FormReader::of::<RestoredV1>(),
    FormReader::of::<PurgeRequestedV1>(),
    FormReader::of::<PurgedV1>(),
];

/// The event in the newest form of its type.
pub(super) fn newest(event: &Event) -> serde_json::Result<StoredData> {
    match event {
        Event::Created(declared) => StoredData::of(&CreatedV1::from(declared)),
        Event::Received(version) => StoredData::of(&ReceivedV1::from(version)),
        Event::Uploaded => StoredData::of(&UploadedV1 {}),
        Event::SoftDeleted { reason } => StoredData::of(&SoftDeletedV1 { reason: reason.clone() }),
        Event::Restored => StoredData::of(&RestoredV1 {}),
        Event::PurgeRequested => StoredData::of(&PurgeRequestedV1 {}),
        Event::Purged => StoredData::of(&PurgedV1 {}),
    }
}

/// The form of a type and schema, if it is known.
pub(super) fn find<'f, E>(
    forms: &'f [FormReader<E>],
    kind: &str,
    schema: u32,
) -> Option<&'f FormReader<E>> {
    forms.iter().find(|form| form.kind == kind && form.schema == schema)
}

/// The data of an event of an unknown form, without the whitespace between its tokens.
pub(super) fn without_whitespace(data: &RawValue) -> serde_json::Result<Box<RawValue>> {
    let (mut quoted, mut escaped) = (false, false);
    let kept = |c: &char| {
        let opens_or_closes = *c == '"' && !escaped;
        quoted ^= opens_or_closes;
        escaped = *c == '\\' && !escaped;
        quoted || !c.is_ascii_whitespace()
    };
    RawValue::from_string(data.get().chars().filter(kept).collect())
}

/// The fields under `data` in the events of one type and schema.
///
/// A form has its own values and none of the domain's. A new value in the domain does not compile
/// until a form has a place for it.
pub(super) trait StoredForm: Serialize + DeserializeOwned {
    /// The stored type.
    const KIND: &'static str;
    /// The number of the form among those of its type, from 1.
    const SCHEMA: u32;

    /// Whether every field is within its limits.
    fn within_limits(&self) -> Result<(), InvalidField> {
        Ok(())
    }

    /// Data at the start of a text, read without a parser. `None` does not mean another spelling.
    fn read_spelled(_: &mut SpelledText<'_>) -> Option<Self> {
        None
    }
}

/// Reads one form. `E` is the result: today's event.
pub(super) struct FormReader<E> {
    pub(super) kind: &'static str,
    pub(super) schema: u32,
    /// Reads the data as an event.
    pub(super) read: fn(&RawValue) -> serde_json::Result<E>,
    /// The same, and whether the data is in the ledger's spelling and within its limits.
    pub(super) read_exactly: fn(&RawValue) -> serde_json::Result<(E, bool)>,
    /// Data in the ledger's spelling at the start of a text, read without a parser, and whether it
    /// is within its limits, if that is asked. `None` does not mean another spelling.
    pub(super) read_spelled: fn(&mut SpelledText<'_>, bool) -> Option<(E, bool)>,
    /// The data in the ledger's spelling of this form.
    pub(super) rewrite: fn(&RawValue) -> serde_json::Result<StoredData>,
}

impl<E> FormReader<E> {
    pub(super) const fn of<F: StoredForm + Into<E>>() -> Self {
        Self {
            kind: F::KIND,
            schema: F::SCHEMA,
            read: |data| serde_json::from_str::<F>(data.get()).map(Into::into),
            read_exactly: |data| {
                let form: F = serde_json::from_str(data.get())?;
                let exact = is_spelling(&form, data.get()) && form.within_limits().is_ok();
                Ok((form.into(), exact))
            },
            read_spelled: |text, asked| {
                let form = F::read_spelled(text)?;
                let fits = !asked || form.within_limits().is_ok();
                Some((form.into(), fits))
            },
            rewrite: |data| StoredData::of(&serde_json::from_str::<F>(data.get())?),
        }
    }
}

/// An event in one of its stored forms.
pub(super) struct StoredData {
    pub(super) kind: &'static str,
    pub(super) schema: u32,
    pub(super) json: Box<RawValue>,
    /// Whether every field is within its limits.
    pub(super) limits: Result<(), InvalidField>,
}

impl StoredData {
    pub(super) fn of<F: StoredForm>(form: &F) -> serde_json::Result<Self> {
        let (json, limits) = (to_raw_value(form)?, form.within_limits());
        Ok(Self { kind: F::KIND, schema: F::SCHEMA, json, limits })
    }
}
