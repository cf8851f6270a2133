//! The handler of S3's notifications: which asset does it speak of, and what does S3 show now?
//!
//! A notification is a hint, never a fact. Whatever it says, the handler looks at the object and
//! records what it sees, so late, double, reordered and forged ones change nothing. That a version
//! was removed is believed only of one that the look does not find.

mod notice;

use std::sync::Arc;

use ledger::asset::Rejection;
use ledger::behalf;
use ledger::error::chain;
use ledger::id::Key;
use ledger::record::Source;
use ledger::service::{Caller, Looked, Refusal, S3_ACTOR, Service};

pub use notice::{Notice, Unreadable, decode};

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// S3 was looked at; this came of it.
    Looked(Looked),
    /// It is not about an asset of ours, or not readable: it will never be.
    Dropped(Dropped),
    /// It is to be handled again later.
    Later(Later),
}

/// Why a notification was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// S3 tries out a notification when it is set up.
    Test,
    /// Another bucket's.
    ForeignBucket,
    /// An object that is not an asset's, or another tenant's.
    ForeignKey,
    /// Not a notification of S3.
    Unreadable,
    /// Of an asset that has as many events as an asset may have.
    Full,
}

/// Why a notification is to be handled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// The journal does not know the asset: not yet, perhaps.
    UnknownAsset,
    /// A store could not answer, or the asset was changing too fast.
    Unavailable,
}

/// The handler.
pub struct Bucket {
    service: Arc<Service>,
}

impl Bucket {
    /// Handles the notifications of the bucket that `service` keeps its files in.
    #[must_use]
    pub fn new(service: Arc<Service>) -> Self {
        Self { service }
    }

    /// Handles every notification in a message, each on its own: a bad one fails none beside it.
    pub async fn receive(&self, message: &str) -> Vec<Handled> {
        let mut all = Vec::new();
        for notice in decode(message) {
            let handled = match notice {
                Ok(notice) => behalf::named("notify", self.handle(&notice)).await,
                Err(error) => {
                    tracing::warn!(cause = %chain(&error), "an unreadable message was dropped");
                    Handled::Dropped(Dropped::Unreadable)
                }
            };
            count(&handled);
            all.push(handled);
        }
        all
    }

    async fn handle(&self, notice: &Notice) -> Handled {
        let Notice::Object { bucket, key: object, request, removed } = notice else {
            return Handled::Dropped(Dropped::Test);
        };
        if bucket != self.service.bucket() {
            return Handled::Dropped(Dropped::ForeignBucket);
        }
        let Some(key) = Key::from_object(object).filter(|key| self.service.key(key.asset) == *key)
        else {
            return Handled::Dropped(Dropped::ForeignKey);
        };
        self.look(&key, request, removed.as_deref()).await
    }

    async fn look(&self, key: &Key, request: &str, removed: Option<&str>) -> Handled {
        let request = request.to_owned();
        let caller = Caller { actor: S3_ACTOR.to_owned(), source: Source::S3, request };
        let looked = match removed {
            Some(version) => self.service.look_for_removed(&caller, key.asset, version).await,
            None => self.service.look(&caller, key.asset).await,
        };
        match looked {
            Ok(looked) => {
                if looked.missing {
                    tracing::warn!(asset = %key.asset, "the pinned version of an asset is missing: \
                        nothing is recorded yet; bring it back, or see `verify --objects`");
                }
                tracing::debug!(asset = %key.asset, ?looked, "looked at an object");
                Handled::Looked(looked)
            }
            Err(Refusal::Rejected(Rejection::NotFound)) => Handled::Later(Later::UnknownAsset),
            Err(Refusal::Rejected(Rejection::Full)) => {
                tracing::warn!(asset = %key.asset, "a notification of an asset that has as many \
                    events as an asset may have was dropped");
                Handled::Dropped(Dropped::Full)
            }
            Err(error) => {
                tracing::warn!(asset = %key.asset, cause = %chain(&error), "a look failed");
                Handled::Later(Later::Unavailable)
            }
        }
    }
}

/// Counts what operators look at. What was recorded is counted where it is.
fn count(handled: &Handled) {
    match handled {
        Handled::Looked(looked) => {
            metrics::counter!("asset_ledger_versions_swept").increment(looked.swept as u64);
            metrics::counter!("asset_ledger_pins_missing").increment(u64::from(looked.missing));
            if looked.overwrite {
                metrics::counter!("asset_ledger_overwrite_attempts").increment(1);
                tracing::warn!("an object was put over the confirmed version of an asset");
            }
        }
        Handled::Dropped(_) => {
            metrics::counter!("asset_ledger_notifications_dropped").increment(1);
        }
        Handled::Later(_) => metrics::counter!("asset_ledger_notifications_later").increment(1),
    }
}
