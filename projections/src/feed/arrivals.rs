//! The feed of a journal with an order of arrival: that order.
//!
//! A cursor is the number of an arrival, always of the requesting tenant, and the first digits of
//! its event's hash. Once an arrival was seen, no lower number appears later, so no event can be
//! skipped. A journal that was restored from a copy, and has other events under the same numbers,
//! is detected.

use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use ledger::id::Tenant;
use ledger::journal::{Arrival, Arrivals};

use super::{EventHeader, Feed, FeedCursor, FeedError, FeedEvent, FeedPage, FeedQuery};

/// Arrivals that one page reads if a filter rejects some: a page of the rarest type costs a few
/// milliseconds, not the whole journal.
const LOOKED_AT: usize = 1_000;
/// The range of an arrival's number: a store uses signed numbers.
const NUMBERS: RangeInclusive<u64> = 1..=i64::MAX.cast_unsigned();
/// Hexadecimal digits of the hash in a cursor: enough to exclude a chance match.
const DIGITS: usize = 16;

/// The feed of a local journal.
pub struct ArrivalFeed {
    arrivals: Arc<dyn Arrivals>,
}

impl ArrivalFeed {
    /// The feed of the events in `arrivals`.
    pub fn new(arrivals: Arc<dyn Arrivals>) -> Self {
        Self { arrivals }
    }

    /// The arrivals after a position that was verified to be of this journal.
    async fn after(
        &self,
        of: &Tenant,
        place: Option<ArrivalCursor>,
        count: usize,
    ) -> Result<Vec<Arrival>, FeedError> {
        let Some(place) = place else { return Ok(self.arrivals.arrivals_of(of, 0, count).await?) };
        // The arrival at the position is read again, to verify that it is still the same.
        let mut found = self.arrivals.arrivals_of(of, place.number - 1, count + 1).await?;
        let same = found.first().is_some_and(|first| ArrivalCursor::of(first) == place);
        if !same {
            return Err(FeedError::Foreign);
        }
        Ok(found.split_off(1))
    }
}

#[async_trait]
impl Feed for ArrivalFeed {
    async fn page(&self, query: &FeedQuery) -> Result<FeedPage, FeedError> {
        let place = query.after.as_ref().map(ArrivalCursor::read).transpose()?.flatten();
        let count = if query.filters() { query.limit.max(LOOKED_AT) } else { query.limit };
        // One more than needed shows whether more exist.
        let found = self.after(&query.tenant, place.clone(), count + 1).await?;
        let (mut events, mut last) = (Vec::new(), place);
        let mut rest = found.into_iter().take(count + 1).peekable();
        for arrival in rest.by_ref().take(count) {
            last = Some(ArrivalCursor::of(&arrival));
            events.extend(wanted(query, arrival));
            if events.len() == query.limit {
                break;
            }
        }
        let next = last.as_ref().map_or_else(ArrivalCursor::beginning, ArrivalCursor::cursor);
        Ok(FeedPage { events, next, more: rest.peek().is_some() })
    }
}

/// The arrival's event, if the query selects it.
fn wanted(query: &FeedQuery, arrival: Arrival) -> Option<FeedEvent> {
    let Arrival { number, key, line } = arrival;
    let passed_over = || {
        let asset = key.partition();
        tracing::warn!(
            asset,
            arrival = number,
            "skipped a line that is not an event: run `verify`"
        );
    };
    let Ok(line) = line.inspect_err(|_| passed_over()) else { return None };
    let outline = EventHeader::read(&line.body).or_else(|| {
        passed_over();
        None
    })?;
    query.wants(&outline.kind, &outline.actor).then_some(FeedEvent { key, line })
}

/// An arrival as named by a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ArrivalCursor {
    number: u64,
    hash: String,
}

impl ArrivalCursor {
    fn of(arrival: &Arrival) -> Self {
        let mut hash = arrival.hash().to_string();
        hash.truncate(DIGITS);
        Self { number: arrival.number, hash }
    }

    fn beginning() -> FeedCursor {
        FeedCursor("a0".to_owned())
    }

    fn cursor(&self) -> FeedCursor {
        FeedCursor(format!("a{}-{}", self.number, self.hash))
    }

    /// The arrival that a cursor names; `None` for the beginning.
    fn read(cursor: &FeedCursor) -> Result<Option<Self>, FeedError> {
        if *cursor == Self::beginning() {
            return Ok(None);
        }
        let parts = cursor.0.strip_prefix('a').and_then(|text| text.split_once('-'));
        let (number, hash) = parts.ok_or(FeedError::Foreign)?;
        let number = number.parse().ok().filter(|number| NUMBERS.contains(number));
        let number = number.ok_or(FeedError::Foreign)?;
        let place = Self { number, hash: hash.to_owned() };
        // Only one spelling is valid: `+7` and `07` parse as numbers too.
        if place.cursor() == *cursor { Ok(Some(place)) } else { Err(FeedError::Foreign) }
    }
}

#[cfg(test)]
mod tests {
    use ledger::journal::Journal;
    use ledger::record::StoredLine;
    use ledger::testing::MemoryJournal;

    use super::*;
    use crate::testing::Story;

    async fn feed(stories: &[Story]) -> (Arc<MemoryJournal>, ArrivalFeed) {
        let journal = Arc::new(MemoryJournal::default());
        for story in stories {
            story.append_to(&*journal).await;
        }
        (journal.clone(), ArrivalFeed::new(journal))
    }

    fn query(after: Option<&str>, limit: usize) -> FeedQuery {
        let after = after.map(|text| FeedCursor(text.to_owned()));
        FeedQuery { tenant: "main".parse().unwrap(), after, limit, kind: None, actor: None }
    }

    #[tokio::test]
    async fn a_cursor_that_is_none_is_refused() {
        let (_, feed) = feed(&[Story::begin("main", 1).received()]).await;
        let good = feed.page(&query(None, 1)).await.unwrap().next;
        let other = good.0.replace('-', "-f");
        let beyond = good.0.replace("a1-", "a18446744073709551615-");
        let bad = ["", "a", "0", "a1", "a1-", "a01-x", "a+1-x", "l0.0", "a9-x", "a0-"];
        for text in bad.into_iter().chain([other.as_str(), &beyond]) {
            let answer = feed.page(&query(Some(text), 1)).await;
            assert!(matches!(answer, Err(FeedError::Foreign)), "{text}");
        }
        assert_eq!(feed.page(&query(Some(&good.0), 9)).await.unwrap().events.len(), 1);
    }

    #[tokio::test]
    async fn a_journal_restored_from_a_copy_is_not_taken_for_the_same() {
        let (_, before) = feed(&[Story::begin("main", 1), Story::begin("main", 2)]).await;
        let cursor = before.page(&query(None, 9)).await.unwrap().next;
        let (_, restored) = feed(&[Story::begin("main", 1), Story::begin("main", 3)]).await;
        let (_, shorter) = feed(&[Story::begin("main", 1)]).await;
        for feed in [restored, shorter] {
            let answer = feed.page(&query(Some(&cursor.0), 9)).await;
            assert!(matches!(answer, Err(FeedError::Foreign)), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_event_holds_up_nobody() {
        let (journal, feed) = feed(&[Story::begin("main", 1)]).await;
        let strange = StoredLine { version: 1, body: "not JSON".to_owned() };
        journal.append(&Story::begin("main", 2).key, strange).await.unwrap();
        Story::begin("main", 3).append_to(&*journal).await;
        let page = feed.page(&query(None, 9)).await.unwrap();
        assert_eq!((page.events.len(), page.more), (2, false));
    }

    #[tokio::test]
    async fn a_rare_kind_is_looked_for_a_bounded_while_and_then_further_on() {
        let stories: Vec<_> = (0..1_005).map(|nth| Story::begin("main", nth)).collect();
        let (journal, feed) = feed(&stories).await;
        Story::begin("main", 1).received().append_to(&*journal).await;
        let mut query = FeedQuery { kind: Some("received".to_owned()), ..query(None, 1) };
        let page = feed.page(&query).await.unwrap();
        assert_eq!((page.events.len(), page.more), (0, true));
        query.after = Some(page.next);
        assert_eq!(feed.page(&query).await.unwrap().events.len(), 1);
    }
}
