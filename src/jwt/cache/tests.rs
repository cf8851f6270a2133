//! The rules of the cache, with a clock that only the tests move, and a source that they play.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::advance;

use super::*;
use crate::jwt::AuthConfig;

/// A source that counts.
struct PlayedSource {
    fetches: AtomicU32,
    /// The names of the keys; none while it is away.
    kids: Mutex<Option<Vec<String>>>,
    /// A fetch waits for one of these.
    gate: Semaphore,
}

#[async_trait]
impl JwksSource for PlayedSource {
    async fn fetch(&self, _: &TrustedIssuer) -> Result<Jwks, FetchError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await?.forget();
        let kids = self.kids.lock().unwrap().clone().ok_or("away")?;
        let keys: Vec<_> = kids.iter().map(|kid| json!({"kid": kid, "kty": "EC"})).collect();
        Ok(Jwks::parse(json!({"keys": keys}).to_string().as_bytes())?)
    }
}

struct World {
    source: Arc<PlayedSource>,
    keys: CachedKeys,
}

impl World {
    fn new(kids: Option<&[&str]>) -> Self {
        let config = json!({"issuers": [{"issuer": "https://id.example", "audiences": ["a"],
            "tenant": {"fixed": "a"}, "at_most": ["read"]}]});
        let issuer = AuthConfig::parse(&config.to_string()).unwrap().issuers.remove(0);
        let source = Arc::new(PlayedSource {
            fetches: AtomicU32::new(0),
            kids: Mutex::default(),
            gate: Semaphore::new(1 << 20),
        });
        let keys = CachedKeys::new(Arc::new(issuer), source.clone());
        let world = Self { source, keys };
        world.has(kids);
        world
    }

    fn has(&self, kids: Option<&[&str]>) {
        let kids = kids.map(|kids| kids.iter().map(|&kid| kid.to_owned()).collect());
        *self.source.kids.lock().unwrap() = kids;
    }

    /// Whether the name is known now; `None` if the issuer is away. And the fetches until now.
    async fn look(&self, kid: &str) -> (Option<bool>, u32) {
        let found = self.keys.keys(kid).await.ok().map(|keys| keys.has(kid));
        (found, self.source.fetches.load(Ordering::SeqCst))
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Moves the clock to a second before the end of this time.
async fn almost(time: Duration) {
    advance(time.saturating_sub(SECOND)).await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_fresh_for_a_quarter_of_an_hour() {
    let world = World::new(Some(&["a"]));
    assert_eq!(world.look("a").await, (Some(true), 1));
    almost(FRESH).await;
    assert_eq!(world.look("a").await, (Some(true), 1));
    world.has(Some(&["b"]));
    advance(SECOND).await;
    assert_eq!(world.look("a").await, (Some(false), 2), "it was withdrawn");
    assert_eq!(world.look("b").await, (Some(true), 2));
}

#[tokio::test(start_paused = true)]
async fn stale_keys_serve_a_day_while_the_issuer_is_away() {
    let world = World::new(Some(&["a"]));
    world.look("a").await;
    world.has(None);
    advance(FRESH).await;
    assert_eq!(world.look("a").await, (Some(true), 2));
    almost(PAUSE).await;
    assert_eq!(world.look("a").await, (Some(true), 2), "it is not asked at each request");
    advance(SECOND).await;
    assert_eq!(world.look("a").await, (Some(true), 3));
    almost(KEPT.saturating_sub(FRESH + PAUSE)).await;
    assert_eq!(world.look("a").await, (Some(true), 4));
    advance(SECOND).await;
    assert_eq!(world.look("a").await, (None, 5));
    world.has(Some(&["a"]));
    assert_eq!(world.look("a").await, (None, 5));
    advance(FIRST_PAUSE).await;
    assert_eq!(world.look("a").await, (Some(true), 6), "it came back");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_was_always_away_is_asked_once_a_second() {
    let world = World::new(None);
    for _ in 0..50 {
        assert_eq!(world.look("a").await, (None, 1));
    }
    advance(FIRST_PAUSE).await;
    assert_eq!(world.look("a").await, (None, 2));
    world.has(Some(&["a"]));
    advance(FIRST_PAUSE).await;
    assert_eq!(world.look("a").await, (Some(true), 3));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_unknown_names_cost_one_fetch() {
    let cold = World::new(Some(&["a"]));
    let warm = World::new(Some(&["a"]));
    assert_eq!(warm.look("a").await, (Some(true), 1));
    for (world, fetches) in [(&cold, 1), (&warm, 2)] {
        for number in 0..1_000 {
            assert_eq!(world.look(&format!("x{number}")).await, (Some(false), fetches));
        }
    }
    almost(PAUSE).await;
    assert_eq!(warm.look("x").await, (Some(false), 2));
    advance(SECOND).await;
    assert_eq!(warm.look("x").await, (Some(false), 3), "for everybody, once in half a minute");
    assert_eq!(warm.look("y").await, (Some(false), 3));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_costs_one_fetch() {
    let world = World::new(Some(&["a"]));
    world.look("a").await;
    world.has(Some(&["a", "b"]));
    assert_eq!(world.look("b").await, (Some(true), 2));
    assert_eq!(world.look("a").await, (Some(true), 2));
    world.has(None);
    assert_eq!(world.look("c").await, (Some(false), 3), "unknown, and the issuer is away");
    assert_eq!(world.look("b").await, (Some(true), 3), "what is known is kept");
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_share_one_fetch_and_nobody_waits_for_a_refresh() {
    let world = World::new(Some(&["a"]));
    world.source.gate.forget_permits(1 << 20);
    let looks = (0..64).map(|_| world.look("a"));
    let mut looks = Box::pin(futures::future::join_all(looks));
    assert!(futures::poll!(&mut looks).is_pending());
    // The one that fetches gives up; the others still get their keys.
    let quitter = world.look("a");
    drop(quitter);
    world.source.gate.add_permits(1);
    assert!(looks.await.iter().all(|found| *found == (Some(true), 1)));

    advance(FRESH).await;
    let mut refresh = Box::pin(world.look("a"));
    assert!(futures::poll!(&mut refresh).is_pending());
    assert_eq!(world.look("a").await.0, Some(true), "at once");
    drop(refresh);
    world.has(Some(&["b"]));
    world.source.gate.add_permits(1);
    assert_eq!(world.look("b").await, (Some(true), 2), "the fetch went on without its caller");
}
