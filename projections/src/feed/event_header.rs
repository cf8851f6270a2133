//! The fields that every event has, also an event of a newer program that this one cannot fold but
//! can pass on.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields of an event as stored.
#[derive(Debug, Deserialize)]
pub struct EventHeader<'a> {
    /// Its place in the asset's history, from 1.
    pub version: u64,
    /// The event's type.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// When, as an RFC 3339 time.
    #[serde(borrow)]
    pub at: Cow<'a, str>,
    /// The actor.
    #[serde(borrow)]
    pub actor: Cow<'a, str>,
    /// The source.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// The request id.
    #[serde(borrow)]
    pub request: Cow<'a, str>,
    /// The data of its type.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// The hash of the previous event.
    #[serde(borrow)]
    pub prev: Cow<'a, str>,
}

impl<'a> EventHeader<'a> {
    /// Reads an event's stored bytes; `None` if they are not an event.
    #[must_use]
    pub fn read(body: &'a str) -> Option<Self> {
        serde_json::from_str(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../migrations/events/soft_deleted.v1.json");

    #[test]
    fn an_event_of_a_type_to_come_can_be_passed_on() {
        let newer = SAMPLE.replace("soft_deleted", "held");
        let outline = EventHeader::read(newer.trim_end()).unwrap();
        assert_eq!((outline.version, &*outline.kind), (4, "held"));
        assert!(SAMPLE.contains(outline.data.get()) && SAMPLE.contains(&*outline.actor));
    }

    #[test]
    fn what_is_no_event_has_none() {
        for body in ["", "{}", "[]", "null", "not JSON", r#"{"version":1,"type":"created"}"#] {
            assert!(EventHeader::read(body).is_none(), "{body}");
        }
    }
}
