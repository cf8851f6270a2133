//! The handler of S3's notifications: it finds the asset and reconciles it with S3.
//!
//! A notification is a hint, never a fact. The handler observes the object and records only that,
//! so late, duplicate, reordered and forged notifications change nothing. A reported removal of a
//! version counts only if the observation does not find that version.

mod notice;

use std::sync::Arc;

use ledger::asset::Rejection;
use ledger::command_label;
use ledger::error::chain;
use ledger::id::Key;
use ledger::record::EventSource;
use ledger::service::{Caller, LedgerService, Reconciled, Refusal, S3_ACTOR};

pub use notice::{BucketNotice, NoticeError, decode};

/// The result of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandleOutcome {
    /// The asset was reconciled, with this result.
    Looked(Reconciled),
    /// It is permanently unusable: not about an asset of this ledger, or unreadable.
    Dropped(DropReason),
    /// It must be handled again later.
    Later(RetryReason),
}

/// Why a notification was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// S3's test notification at the setup.
    Test,
    /// It is from another bucket.
    ForeignBucket,
    /// The object's key is not an asset's.
    ForeignKey,
    /// It is not a notification of S3.
    Unreadable,
    /// The asset has the maximum number of events.
    Full,
}

/// Why a notification must be handled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// The journal does not have the asset, possibly not yet.
    UnknownAsset,
    /// A store failed, or the asset was changing too fast.
    Unavailable,
}

/// The handler.
pub struct Bucket {
    service: Arc<LedgerService>,
}

impl Bucket {
    /// Handles the notifications of the bucket that has the files of `service`.
    #[must_use]
    pub fn new(service: Arc<LedgerService>) -> Self {
        Self { service }
    }

    /// Handles every notification in a message, each on its own: a bad one fails no other.
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
        let caller = Caller { tenant, actor, source: EventSource::S3, request, own_only: false };
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

/// Counts the results for operators. Recorded events are counted where they are appended.
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
