//! The contract of [`Feed`], each part a test of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use ledger::history::History;
use ledger::id::Key;
use ledger::journal::{Arrivals, Journal};
use ledger::testing::neighbours::NEIGHBOURS;

use super::{Clock, Story};
use crate::feed::{
    Announcement, Announcer, ArrivalFeed, Feed, FeedCursor, FeedEvent, LanedFeed, Lanes,
};
use crate::feed::{FeedError, FeedPage, FeedQuery};

/// A feed, and a way to append events that it must return.
#[async_trait]
pub trait Happening: Send + Sync {
    /// The feed.
    fn feed(&self) -> &dyn Feed;

    /// Appends a story's events after its first `known` ones.
    async fn happens(&self, story: &Story, known: u64);
}

/// A journal that is its own feed.
#[async_trait]
impl<J: Journal + Arrivals + 'static> Happening for (Arc<J>, ArrivalFeed) {
    fn feed(&self) -> &dyn Feed {
        &self.1
    }

    async fn happens(&self, story: &Story, _: u64) {
        story.append_to(&*self.0).await;
    }
}

/// A journal, and lanes with its announcements.
pub struct Laned {
    journal: Arc<dyn Journal>,
    announcer: Announcer,
    feed: LanedFeed,
}

impl Laned {
    /// Events in `journal` are announced in `lanes`.
    pub fn new(journal: Arc<dyn Journal>, lanes: Arc<dyn Lanes>) -> Self {
        let clock = Arc::new(Clock::default());
        let feed = LanedFeed::new(lanes.clone(), journal.clone(), clock.clone());
        Self { journal, announcer: Announcer::new(lanes, clock), feed }
    }
}

#[async_trait]
impl Happening for Laned {
    fn feed(&self) -> &dyn Feed {
        &self.feed
    }

    #[allow(clippy::expect_used, reason = "a story makes a history")]
    async fn happens(&self, story: &Story, known: u64) {
        story.append_to(&*self.journal).await;
        let history = History::read(&story.key, story.lines.clone()).expect("a history");
        let history = history.expect("an event");
        while !self.announcer.announce(vec![Announcement::of(&history, known)]).await.is_empty() {}
    }
}

/// Verifies that the feeds of `make`, empty each time, keep the contract of [`Feed`].
///
/// # Panics
/// If one does not.
pub async fn feed<H: Happening>(make: impl AsyncFn() -> H) {
    a_walk_gives_every_event_whatever_the_size_of_its_pages(make().await).await;
    what_happens_later_comes_after_every_cursor(make().await).await;
    a_filter_holds_back_what_was_not_asked_for(make().await).await;
    tenants_do_not_hear_of_each_other(make().await).await;
    a_foreign_cursor_is_refused(make().await).await;
    neighbours_change_no_page(&make).await;
}

#[allow(clippy::expect_used, reason = "the tenant is named here")]
fn query(limit: usize) -> FeedQuery {
    let tenant = "main".parse().expect("a tenant's name");
    FeedQuery { tenant, after: None, limit, kind: None, actor: None }
}

/// The page, after any number of attempts.
#[allow(clippy::expect_used, reason = "a conformance suite fails by panicking")]
async fn page(feed: &dyn Feed, query: &FeedQuery) -> FeedPage {
    for _ in 0..super::TRIES {
        match feed.page(query).await {
            Err(FeedError::Store(_)) => {}
            answer => return answer.expect("a cursor of its own"),
        }
    }
    panic!("the store is broken and not just faulty");
}

/// Reads from a query's start to the end; returns the events and the last cursor.
///
/// # Panics
/// If a page is longer than allowed, or the pages do not end.
pub async fn walk(feed: &dyn Feed, mut query: FeedQuery) -> (Vec<FeedEvent>, FeedCursor) {
    let mut events = Vec::new();
    for _ in 0..10_000 {
        let page = page(feed, &query).await;
        assert!(page.events.len() <= query.limit, "{} of {}", page.events.len(), query.limit);
        assert!(page.more || page.events.is_empty() || query.after != Some(page.next.clone()));
        events.extend(page.events);
        query.after = Some(page.next.clone());
        if !page.more {
            return (events, page.next);
        }
    }
    panic!("a walk of 10,000 pages is not to the end");
}

/// The stories in the feed, each event once, if their first occurrences are in order.
fn told(events: &[FeedEvent]) -> BTreeMap<Key, Vec<String>> {
    let mut stories = BTreeMap::<Key, Vec<String>>::new();
    for FeedEvent { key, line } in events {
        let story = stories.entry(key.clone()).or_default();
        let next = story.len() as u64 + 1;
        assert!(line.version <= next, "{} came before {next}", line.version);
        if line.version == next {
            story.push(line.body.clone());
        }
    }
    stories
}

fn bodies(stories: &[Story]) -> BTreeMap<Key, Vec<String>> {
    let body = |story: &Story| story.lines.iter().map(|line| line.body.clone()).collect();
    stories.iter().map(|story| (story.key.clone(), body(story))).collect()
}

async fn a_walk_gives_every_event_whatever_the_size_of_its_pages(world: impl Happening) {
    let stories: Vec<_> = (0..20).map(|nth| Story::begin("main", nth).received()).collect();
    for story in &stories {
        world.happens(story, 0).await;
    }
    let stories: Vec<_> = stories.into_iter().map(|story| story.uploaded().deleted()).collect();
    for story in &stories {
        world.happens(story, 2).await;
    }
    for limit in [1, 2, 7, 100, 1_000] {
        let (events, _) = walk(world.feed(), query(limit)).await;
        assert_eq!(told(&events), bodies(&stories), "in pages of {limit}");
    }
}

async fn what_happens_later_comes_after_every_cursor(world: impl Happening) {
    let (nothing, beginning) = walk(world.feed(), query(10)).await;
    assert!(nothing.is_empty());
    let mut cursors = vec![beginning];
    let mut stories = Vec::new();
    for nth in 0..9 {
        let story = Story::begin("main", nth).received();
        world.happens(&story, 0).await;
        stories.push(story);
        let after = cursors.last().cloned();
        let (events, next) = walk(world.feed(), FeedQuery { after, ..query(1) }).await;
        assert_eq!(told(&events), bodies(&stories[stories.len() - 1..]));
        cursors.push(next);
    }
    for (known, cursor) in cursors.into_iter().enumerate() {
        let (events, _) = walk(world.feed(), FeedQuery { after: Some(cursor), ..query(3) }).await;
        assert_eq!(told(&events), bodies(&stories[known..]), "after the first {known}");
    }
}

async fn a_filter_holds_back_what_was_not_asked_for(world: impl Happening) {
    let story = |nth| Story::begin("main", nth).received().by("alice").deleted();
    for nth in 0..10 {
        world.happens(&story(nth), 0).await;
    }
    let matching = async |kind: Option<&str>, actor: Option<&str>| {
        let (kind, actor) = (kind.map(ToOwned::to_owned), actor.map(ToOwned::to_owned));
        walk(world.feed(), FeedQuery { kind, actor, ..query(3) }).await
    };
    // An event may be returned twice.
    let which = |events: Vec<FeedEvent>| -> BTreeSet<(Key, u64)> {
        events.into_iter().map(|event| (event.key, event.line.version)).collect()
    };
    let all = |version| (0..10).map(|nth| (story(nth).key, version)).collect();
    let (received, end) = matching(Some("received"), None).await;
    assert_eq!(which(received), all(2));
    assert_eq!(which(matching(None, Some("alice")).await.0), all(3));
    assert!(matching(Some("created"), Some("alice")).await.0.is_empty());
    assert!(matching(None, Some("ALICE")).await.0.is_empty());
    // The cursor has passed events that the filter rejected.
    let rest = walk(world.feed(), FeedQuery { after: Some(end), ..query(3) }).await.0;
    assert!(rest.is_empty(), "{rest:?}");
}

async fn tenants_do_not_hear_of_each_other(world: impl Happening) {
    let ours = Story::begin("main", 1);
    world.happens(&Story::begin("other", 1), 0).await;
    world.happens(&ours, 0).await;
    let (events, end) = walk(world.feed(), query(1)).await;
    assert_eq!(told(&events), bodies(&[ours]));
    // Events of another tenant change neither a cursor nor `more`.
    for nth in 2..9 {
        world.happens(&Story::begin("other", nth).received(), 0).await;
    }
    for after in [Some(end.clone()), None] {
        let found = page(world.feed(), &FeedQuery { after, ..query(9) }).await;
        assert_eq!((found.next, found.more), (end.clone(), false));
    }
}

/// Every page of a walk through some stories is the same whatever the neighbours do meanwhile. Of a
/// cursor, only the number of an arrival differs: it shows that the order is still the same one.
async fn neighbours_change_no_page<H: Happening>(make: &impl AsyncFn() -> H) {
    let (alone, beside) = (make().await, make().await);
    let mut noise = (1..).map(|nth| NEIGHBOURS.map(|name| Story::begin(name, nth).received()));
    for round in 0..5 {
        for story in noise.next().into_iter().flatten() {
            beside.happens(&story, 0).await;
        }
        let story = Story::begin("main", round).received().deleted();
        alone.happens(&story, 0).await;
        beside.happens(&story, 0).await;
        for (limit, kind) in [(1, None), (2, None), (9, None), (1, Some("received"))] {
            let query = || FeedQuery { kind: kind.map(ToOwned::to_owned), ..query(limit) };
            let of = pages(beside.feed(), query()).await;
            assert_eq!(of, pages(alone.feed(), query()).await, "in pages of {limit}");
        }
    }
}

async fn pages(feed: &dyn Feed, mut query: FeedQuery) -> Vec<FeedPage> {
    let mut pages = Vec::new();
    loop {
        let mut page = page(feed, &query).await;
        query.after = Some(page.next.clone());
        let more = page.more;
        if let Some((number, hash)) = page.next.0.split_once('-')
            && number.strip_prefix('a').is_some_and(|number| number.parse::<u64>().is_ok())
        {
            page.next = FeedCursor(hash.to_owned());
        }
        pages.push(page);
        if !more {
            return pages;
        }
    }
}

async fn a_foreign_cursor_is_refused(world: impl Happening) {
    world.happens(&Story::begin("main", 1), 0).await;
    for text in ["", "0", "a", "l", "a7-0000000000000000", "l7.1.00000000-0-0-0", "💥"] {
        let after = Some(FeedCursor(text.to_owned()));
        let answer = world.feed().page(&FeedQuery { after, ..query(1) }).await;
        assert!(answer.is_err(), "{text}: {answer:?}");
    }
}
