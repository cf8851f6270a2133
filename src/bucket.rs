//! The handler of S3's notifications: which asset does it speak of, and what does S3 show now?
//!
//! A notification is a hint, never a fact. Whatever it says, the handler looks at the object and
//! records what it sees, so late, double, reordered and forged ones change nothing. That a version
//! was removed is believed only of one that the look does not find.

mod notice;

use std::sync::Arc;

use ledger::asset::Rejection;
use ledger::command_label;
use ledger::error::chain;
use ledger::id::Key;
use ledger::record::EventSource;
use ledger::service::{Caller, LedgerService, Reconciled, Refusal, S3_ACTOR};

pub use notice::{BucketNotice, NoticeError, decode};

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandleOutcome {
    /// S3 was looked at; this came of it.
    Looked(Reconciled),
    /// It is not about an asset of ours, or not readable: it will never be.
    Dropped(DropReason),
    /// It is to be handled again later.
    Later(RetryReason),
}

/// Why a notification was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// S3 tries out a notification when it is set up.
    Test,
    /// Another bucket's.
    ForeignBucket,
    /// An object whose key is not an asset's.
    ForeignKey,
    /// Not a notification of S3.
    Unreadable,
    /// Of an asset that has as many events as an asset may have.
    Full,
}

/// Why a notification is to be handled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// The journal does not know the asset: not yet, perhaps.
    UnknownAsset,
    /// A store could not answer, or the asset was changing too fast.
    Unavailable,
}

/// The handler.
pub struct Bucket {
    service: Arc<LedgerService>,
}

impl Bucket {
    /// Handles the notifications of the bucket that `service` keeps its files in.
    #[must_use]
    pub fn new(service: Arc<LedgerService>) -> Self {
        Self { service }
    }

    /// Handles every notification in a message, each on its own: a bad one fails none beside it.
    pub async fn receive(&self, message: &str) -> Vec<HandleOutcome> {
        let mut all = Vec::new();
        for notice in decode(message) {
            let handled = match notice {
                Ok(notice) => command_label::scope("notify", self.handle(&notice)).await,
                Err(error) => {
                    tracing::warn!(cause = %chain(&error), "dropped an unreadable message");
                    HandleOutcome::Dropped(DropReason::Unreadable)
                }
            };
            count(&handled);
            all.push(handled);
        }
        all
    }

    async fn handle(&self, notice: &BucketNotice) -> HandleOutcome {
        let BucketNotice::Object { bucket, key: object, request, removed } = notice else {
            return HandleOutcome::Dropped(DropReason::Test);
        };
        if bucket != self.service.bucket() {
            return HandleOutcome::Dropped(DropReason::ForeignBucket);
        }
        let Some(key) = Key::from_object(object) else {
            return HandleOutcome::Dropped(DropReason::ForeignKey);
        };
        self.look(&key, request, removed.as_deref()).await
    }

    async fn look(&self, key: &Key, request: &str, removed: Option<&str>) -> HandleOutcome {
        let (actor, request) = (S3_ACTOR.to_owned(), request.to_owned());
        let tenant = key.tenant.clone();
        let caller = Caller { tenant, actor, source: EventSource::S3, request };
        let looked = match removed {
            Some(version) => self.service.look_for_removed(&caller, key.asset, version).await,
            None => self.service.look(&caller, key.asset).await,
        };
        match looked {
            Ok(looked) => {
                if looked.missing {
                    tracing::warn!(asset = %key.asset, "the pinned version of an asset is missing: \
                        nothing is recorded yet; restore it, or run `verify --objects`");
                }
                tracing::debug!(asset = %key.asset, ?looked, "reconciled an object");
                HandleOutcome::Looked(looked)
            }
            Err(Refusal::Rejected(Rejection::NotFound)) => {
                HandleOutcome::Later(RetryReason::UnknownAsset)
            }
            Err(Refusal::Rejected(Rejection::Full)) => {
                tracing::warn!(asset = %key.asset, "dropped a notification: the asset has the \
                    maximum number of events");
                HandleOutcome::Dropped(DropReason::Full)
            }
            Err(error) => {
                tracing::warn!(asset = %key.asset, cause = %chain(&error),
                    "cannot reconcile an object");
                HandleOutcome::Later(RetryReason::Unavailable)
            }
        }
    }
}

/// Counts what operators look at. What was recorded is counted where it is.
fn count(handled: &HandleOutcome) {
    match handled {
        HandleOutcome::Looked(looked) => {
            metrics::counter!("asset_ledger_versions_swept").increment(looked.swept as u64);
            metrics::counter!("asset_ledger_pins_missing").increment(u64::from(looked.missing));
            if looked.overwrite {
                metrics::counter!("asset_ledger_overwrite_attempts").increment(1);
                tracing::warn!(
                    "a new object version was put over the confirmed version of an asset"
                );
            }
        }
        HandleOutcome::Dropped(_) => {
            metrics::counter!("asset_ledger_notifications_dropped").increment(1);
        }
        HandleOutcome::Later(_) => {
            metrics::counter!("asset_ledger_notifications_later").increment(1);
        }
    }
}
