//! The checks of `/readyz`.

use std::sync::Arc;

use async_trait::async_trait;
use ledger::StoreError;
use ledger::error::chain;
use ledger::id::{AssetId, Key, Tenant};
use ledger::journal::Journal;
#[cfg(feature = "local")]
use ledger::objects::Objects;
use projections::Views;
#[cfg(feature = "local")]
use projections::follower::FollowerProgress;

use crate::http::{Check, NotReady};
use crate::objects::S3Objects;
#[cfg(feature = "local")]
use crate::plural::count;

/// One check for each part.
pub(crate) fn all(
    journal: Arc<dyn Journal>,
    views: Arc<dyn Views>,
    bucket: Arc<dyn Check>,
) -> Arc<[Arc<dyn Check>]> {
    Arc::new([Arc::new(StoreCheck::Journal(journal)), Arc::new(StoreCheck::Views(views)), bucket])
}

/// On S3: whether the bucket keeps versions.
pub(crate) fn versioning(objects: Arc<S3Objects>) -> Arc<dyn Check> {
    Arc::new(StoreCheck::Versioning(objects))
}

/// On one machine: whether the bucket is available. It always keeps versions.
#[cfg(feature = "local")]
pub(crate) fn bucket(objects: Arc<dyn Objects>) -> Arc<dyn Check> {
    Arc::new(StoreCheck::Bucket(objects))
}

/// A store that is asked, and ready if it answers.
enum StoreCheck {
    Journal(Arc<dyn Journal>),
    Views(Arc<dyn Views>),
    Versioning(Arc<S3Objects>),
    #[cfg(feature = "local")]
    Bucket(Arc<dyn Objects>),
}

#[async_trait]
impl Check for StoreCheck {
    fn name(&self) -> &'static str {
        match self {
            Self::Journal(_) => "journal",
            Self::Views(_) => "views",
            _ => "bucket",
        }
    }

    async fn check(&self) -> Result<(), NotReady> {
        let asked = match self {
            Self::Journal(journal) => journal.last(&nobody()).await.map(drop),
            Self::Views(views) => views.get(&nobody()).await.map(drop),
            Self::Versioning(objects) => objects.ready().await,
            #[cfg(feature = "local")]
            Self::Bucket(objects) => objects.current(&nobody()).await.map(drop),
        };
        asked.map_err(|error| not_ready(&error))
    }
}

/// On one machine: whether the rows follow this journal and no other.
#[cfg(feature = "local")]
#[async_trait]
impl Check for FollowerProgress {
    fn name(&self) -> &'static str {
        "rows"
    }

    async fn check(&self) -> Result<(), NotReady> {
        if self.is_lost() {
            return Err(NotReady(
                "the rows follow another journal than this one: see the log, and run \
                 `asset-ledger verify`"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    fn says(&self) -> Option<String> {
        Some(format!("{} behind", count(self.lag(), "event")))
    }
}

/// A key of no asset: looking it up shows that the store answers.
fn nobody() -> Key {
    Key { tenant: Tenant::default(), asset: AssetId::new(chrono::DateTime::UNIX_EPOCH, 0) }
}

/// Paths and causes are for the log; the caller sees the kind only.
pub(crate) fn not_ready(error: &StoreError) -> NotReady {
    tracing::warn!(cause = %chain(error), "a readiness check failed");
    NotReady(format!("{:?}: see the log", error.kind))
}
