//! The name of a caller, as events record it.

use std::sync::Arc;

use ledger::chain::Hash;

/// Bytes of a name: the limit in an event.
const LENGTH_MAX: usize = 128;
/// Bytes of the hash that replaces the rest of a name.
const MARK: usize = 32;

/// The name of a caller. It comes from a checked credential: a client's own claims are not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(Arc<str>);

impl Actor {
    /// A caller with this name. A name that is too long, or not all visible ASCII, is cut there and
    /// ends in `~` and a hash of the whole, so that two names with the same start stay different.
    #[must_use]
    pub fn new(name: &str) -> Self {
        if name.len() <= LENGTH_MAX && name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Self(name.into());
        }
        let hash = Hash::of(name.as_bytes()).to_string();
        // Without `;`: what is cut here never looks like a suffix of an actor.
        let visible = name.chars().filter(|c| c.is_ascii_graphic() && *c != ';');
        let mut cut: String = visible.take(LENGTH_MAX - MARK - 1).collect();
        cut.push('~');
        cut.push_str(&hash[..MARK]);
        Self(cut.into())
    }

    /// The recorded name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Actor {
    /// The anonymous caller.
    fn default() -> Self {
        Self("anonymous".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(name: &str) -> String {
        Actor::new(name).as_str().to_owned()
    }

    #[test]
    fn a_name_that_fits_is_recorded_as_it_is() {
        let issued = "https://issuer.example/pool|auth0|5f7c8ec7c33c6c004bbafe82";
        for name in [issued, "arn:aws:iam::123456789012:user/Admin", &"x".repeat(128)] {
            assert_eq!(recorded(name), name);
        }
    }

    #[test]
    fn one_that_does_not_is_cut_and_stays_distinct() {
        let long = |last: &str| format!("{}{last}", "x".repeat(128));
        let names = [long("1"), long("2"), "a b".into(), "ab ".into(), "a\nb".into(), "äb".into()];
        let mut cut: Vec<_> = names.iter().map(|name| recorded(name)).collect();
        for name in &cut {
            assert!(name.len() <= 128 && name.bytes().all(|b| b.is_ascii_graphic()), "{name}");
        }
        assert_eq!(cut[0].len(), 128);
        assert!(cut[2].starts_with("ab~"), "{}", cut[2]);
        cut.sort();
        cut.dedup();
        assert_eq!(cut.len(), names.len());
    }
}
