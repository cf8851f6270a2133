//! Idempotency keys: a client's names for its requests, so that a request that is sent again has no
//! second effect.
//!
//! The key and the request become the identity of the command, `i-<key>-<fingerprint>`. Both parts
//! are digests. An event with this identity proves that the command was executed, so the history of
//! an asset is the memory of the keys that were used on it. The form of events does not change.

use crate::id::Tenant;
use crate::record::{CommandId, digest};

/// Characters of a key at most.
pub const KEY_MAX: usize = 128;
/// Bytes of the digest of a key. In hex, the identity has 63 of the 64 bytes that an event allows.
const KEY_BYTES: usize = 18;
/// Bytes of the digest of a request.
const FINGERPRINT_BYTES: usize = 12;

/// A client's name for one of its requests. Another subject's same name is another key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    subject: String,
    name: String,
}

impl IdempotencyKey {
    /// A key of `subject`; `None` unless `name` has 1 to 128 visible ASCII characters.
    #[must_use]
    pub fn new(subject: &str, name: &str) -> Option<Self> {
        let valid =
            (1..=KEY_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        valid.then(|| Self { subject: subject.to_owned(), name: name.to_owned() })
    }

    /// The command of this key, whose request has these parts.
    pub(crate) fn command(&self, tenant: &Tenant, request: &[&str]) -> RepeatableCommand {
        let key = digest(&[tenant.as_str(), &self.subject, &self.name]);
        RepeatableCommand {
            key: hex::encode(&key[..KEY_BYTES]),
            fingerprint: hex::encode(&digest(request)[..FINGERPRINT_BYTES]),
        }
    }
}

/// The identity of a command with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatableCommand {
    /// The digest of tenant, subject and key, in hex.
    pub key: String,
    /// The digest of the request, in hex.
    pub fingerprint: String,
}

impl RepeatableCommand {
    /// The identity in an event.
    pub(crate) fn id(&self) -> CommandId {
        CommandId::of_key(&self.key, &self.fingerprint)
    }

    /// Whether an event's command has this key, with any request.
    pub(crate) fn has_key_of(&self, command: &CommandId) -> bool {
        let parts = command.as_str().strip_prefix("i-").and_then(|parts| parts.split_once('-'));
        parts.is_some_and(|(key, _)| key == self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(tenant: &str, subject: &str, name: &str, request: &[&str]) -> RepeatableCommand {
        let key = IdempotencyKey::new(subject, name).unwrap();
        key.command(&tenant.parse().unwrap(), request)
    }

    #[test]
    fn a_key_is_visible_ascii() {
        for name in ["k", "~!\"-", &"x".repeat(128)] {
            assert!(IdempotencyKey::new("s", name).is_some(), "{name}");
        }
        for name in ["", " ", "a b", "\u{e9}", "\t", "\u{7f}", &"x".repeat(129)] {
            assert!(IdempotencyKey::new("s", name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn an_identity_is_stable_and_within_the_limit_of_an_event() {
        let id = command("main", "key:1", "k", &["delete", "a"]).id();
        assert_eq!(
            id.as_str(),
            "i-46ae3f265d930842820f4976d22dc700b5f4-a5a05184404f342dc72225d6",
            "keys that were used before an upgrade are known after it"
        );
        assert_eq!(id.as_str().len(), 63);
    }

    #[test]
    fn whatever_differs_makes_another_command() {
        let one = command("main", "key:1", "k", &["delete", "a"]);
        for (tenant, subject, name) in
            [("other", "key:1", "k"), ("main", "key:2", "k"), ("main", "key:", "1k")]
        {
            let other = command(tenant, subject, name, &["delete", "a"]);
            assert!(!one.has_key_of(&other.id()), "{tenant} {subject} {name}");
            assert_eq!(one.fingerprint, other.fingerprint);
        }
        for request in [&["delete", "b"][..], &["deletea"], &["delete", "a", ""], &["", "deletea"]]
        {
            let other = command("main", "key:1", "k", request);
            assert!(one.has_key_of(&other.id()) && one.id() != other.id(), "{request:?}");
        }
        assert!(!one.has_key_of(&CommandId::fresh(1)));
    }
}
