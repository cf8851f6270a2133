//! Whether the stores can be written: a lock of another process, a full disk and an ended writer
//! are not visible in reads.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::local_stores::LocalStores;
use crate::checks::not_ready;
use crate::http::{Check, NotReady};

/// How long an answer is cached: each check costs three commits, and any client may request it.
const HOLDS: Duration = Duration::from_secs(1);

pub(super) struct WriteCheck {
    stores: Arc<LocalStores>,
    last: Mutex<Option<(Instant, Result<(), NotReady>)>>,
}

impl WriteCheck {
    pub(super) fn new(stores: Arc<LocalStores>) -> Self {
        Self { stores, last: Mutex::default() }
    }
}

#[async_trait]
impl Check for WriteCheck {
    fn name(&self) -> &'static str {
        "writes"
    }

    async fn check(&self) -> Result<(), NotReady> {
        let mut last = self.last.lock().await;
        if let Some((_, answer)) = last.as_ref().filter(|(at, _)| at.elapsed() < HOLDS) {
            return answer.clone();
        }
        let answer = self.stores.probe().await.map_err(|error| not_ready(&error));
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}
