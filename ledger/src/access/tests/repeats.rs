//! Commands on keys that are sent again under an idempotency key.

use super::*;
use crate::idempotency::IdempotencyKey;

fn named(subject: &str) -> IdempotencyKey {
    IdempotencyKey::new(subject, "k").unwrap()
}

fn asked(own_only: bool) -> KeyRequest {
    let name = KeyName::new("one".into()).unwrap();
    KeyRequest { name, scopes: Scopes::all(), own_only, expires_at: None }
}

impl AccessWorld {
    /// The keys of the tenant but the first.
    async fn keys(&self) -> Vec<KeyId> {
        let history = self.process().history(&tenant()).await.unwrap().unwrap();
        history.access().keys.values().filter(|key| key.name == "one").map(|key| key.id).collect()
    }
}

fn shown_once<T>(refused: Result<T, AccessRefusal>) -> KeyId {
    match refused {
        Err(AccessRefusal::ShownOnce(id)) => id,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was made again"),
    }
}

fn is_reused<T>(refused: &Result<T, AccessRefusal>) -> bool {
    matches!(refused, Err(AccessRefusal::Reused))
}

#[tokio::test(start_paused = true)]
async fn a_key_is_created_once_and_a_repeated_request_is_told_which() {
    let world = AccessWorld::new();
    let (service, first) = world.begun().await;
    let create = async |service: &AccessService, own_only, subject| {
        service.create_key(&world.caller, asked(own_only), Some(&named(subject))).await
    };
    let (made, _) = create(&service, false, "s").await.unwrap();
    assert_eq!(shown_once(create(&service, false, "s").await), made.id);
    let restarted = world.process();
    assert_eq!(shown_once(create(&restarted, false, "s").await), made.id);
    assert!(is_reused(&create(&restarted, true, "s").await), "another request");
    let ended = service.revoke_key(&world.caller, made.id, None, None).await.unwrap();
    assert!(ended.event.is_some());
    assert_eq!(shown_once(create(&service, false, "s").await), made.id, "also after its end");
    let (other, _) = create(&service, false, "t").await.unwrap();
    assert_eq!(world.keys().await.len(), 3, "{first:?} {made:?} {other:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_replaced_and_revoked_once() {
    let world = AccessWorld::new();
    let (service, old) = world.begun().await;
    let rotate = async |seconds| {
        let grace = TimeDelta::seconds(seconds);
        service.rotate_key(&world.caller, old.id, grace, None, Some(&named("s"))).await
    };
    let (new, _) = rotate(60).await.unwrap();
    assert_eq!(shown_once(rotate(60).await), new.id);
    assert!(is_reused(&rotate(61).await));
    let reason = |text: &str| Some(Reason::new(text.to_owned()).unwrap());
    let revoke = async |text, subject| {
        service.revoke_key(&world.caller, new.id, reason(text), Some(&named(subject))).await
    };
    assert!(is_reused(&revoke("lost", "s").await), "the name is of the rotation");
    let first = revoke("lost", "t").await.unwrap();
    let again = revoke("lost", "t").await.unwrap();
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(first.event, again.event);
    assert!(is_reused(&revoke("found", "t").await));
    let nothing = revoke("found", "u").await.unwrap();
    assert_eq!((nothing.event, nothing.replayed), (None, false), "it has ended");
    let lines = service.history(&tenant()).await.unwrap().unwrap().lines().len();
    assert_eq!(lines, 4);
}

#[tokio::test(start_paused = true)]
async fn of_64_requests_at_once_one_is_given_the_key() {
    let world = Arc::new(AccessWorld::new());
    world.begun().await;
    let processes: Vec<_> = (0..4).map(|_| Arc::new(world.process())).collect();
    let mut crowd = JoinSet::new();
    for process in processes.iter().cycle().take(64) {
        let (world, process) = (Arc::clone(&world), Arc::clone(process));
        crowd.spawn(async move {
            process.create_key(&world.caller, asked(false), Some(&named("s"))).await
        });
    }
    let (mut given, mut told) = (Vec::new(), Vec::new());
    for outcome in crowd.join_all().await {
        match outcome {
            Ok((key, _)) => given.push(key.id),
            refused => told.push(shown_once(refused)),
        }
    }
    assert_eq!((given.len(), told.len()), (1, 63));
    assert!(told.iter().all(|id| *id == given[0]));
    assert_eq!(world.keys().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_between_leaves_one_key_or_none() {
    let world = AccessWorld::new();
    let (service, _) = world.begun().await;
    // The append takes effect; its reply is lost on the way: the caller is given its key.
    world.journal.lose_a_reply.store(1, Ordering::Relaxed);
    let made = service.create_key(&world.caller, asked(false), Some(&named("s"))).await.unwrap();
    assert!(accepts(&world.process(), &made.0).await);
    for seed in 0..30 {
        let world = AccessWorld::new();
        world.begun().await;
        let faults = Arc::new(Faults::new(seed, 700, 0));
        let journal = Arc::new(Faulty::new(world.journal.clone(), faults));
        let dying = AccessService::new(journal, world.effects.clone());
        let first = dying.create_key(&world.caller, asked(false), Some(&named("s"))).await;
        let restarted = world.process();
        let again = restarted.create_key(&world.caller, asked(false), Some(&named("s"))).await;
        assert!(first.is_err() || again.is_err(), "seed {seed}: two secrets of one request");
        assert_eq!(world.keys().await.len(), 2, "seed {seed}");
    }
}
