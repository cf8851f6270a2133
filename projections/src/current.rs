//! The rows of the generation that readers currently use.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::StoreError;
use tokio::time::Instant;

use crate::generations::Generations;
use crate::rows::Rows;
use crate::views::ViewsDecorator;

/// How long a reader caches the list of generations. After a switch, readers see the new rows after
/// this time at the latest; the list costs next to nothing.
pub const CACHE_TTL: Duration = Duration::from_secs(5);

/// The current generation, looked up periodically.
pub struct CurrentGeneration {
    generations: Arc<dyn Generations>,
    known: Mutex<Option<CachedGeneration>>,
}

struct CachedGeneration {
    rows: Arc<dyn Rows>,
    at: Instant,
}

impl CurrentGeneration {
    /// The current generation of `generations`.
    #[must_use]
    pub fn new(generations: Arc<dyn Generations>) -> Self {
        Self { generations, known: Mutex::default() }
    }

    fn known(&self) -> Option<Arc<dyn Rows>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .filter(|known| known.at.elapsed() < CACHE_TTL)
            .map(|known| known.rows.clone())
    }
}

impl ViewsDecorator for CurrentGeneration {
    type Inner = dyn Rows;

    async fn inner(&self) -> Result<Arc<dyn Rows>, StoreError> {
        if let Some(rows) = self.known() {
            return Ok(rows);
        }
        // Taken before the request: the cached list may be older than its time, never younger.
        let at = Instant::now();
        let rows = self.generations.rows(self.generations.generations().await?.current);
        let known = CachedGeneration { rows: rows.clone(), at };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Clock, MemoryViews, Story};
    use crate::views::Views;

    #[tokio::test(start_paused = true)]
    async fn a_switch_is_seen_once_the_list_is_read_again() {
        let views = Arc::new(MemoryViews::default());
        let current = CurrentGeneration::new(views.clone());
        let story = Story::begin("main", 1);
        assert_eq!(current.get(&story.key).await.unwrap(), None);

        let list = views.generations().await.unwrap();
        let announced = list.announced("a", Clock::default().0).unwrap();
        let built = announced.building.clone().unwrap().generation;
        let switched = announced.switched(built, None, Clock::default().0).unwrap();
        assert!(views.replace(&list, &switched).await.unwrap());
        views.rows(built).put(&story.asset()).await.unwrap();
        assert_eq!(current.get(&story.key).await.unwrap(), None);

        tokio::time::advance(CACHE_TTL).await;
        assert_eq!(current.get(&story.key).await.unwrap(), Some(story.asset()));
    }
}
