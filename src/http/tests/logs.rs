//! The contents of the log: enough to investigate, and no credentials.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use ledger::error::StoreErrorKind;
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Level};
use tracing_subscriber::fmt::MakeWriter;

use super::world::{HttpFixture, Mood, request};

/// Lines of the log, as long as its guard lives.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn watch() -> (Self, DefaultGuard) {
        Self::watch_from(Level::INFO)
    }

    pub(super) fn watch_from(level: Level) -> (Self, DefaultGuard) {
        // With only one subscriber, a line that another thread without one reaches first is turned
        // off for all. So there is a second one.
        static SECOND: LazyLock<Dispatch> =
            LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&SECOND);
        let lines = Self::default();
        let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false);
        let subscriber = subscriber.with_max_level(level).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        (lines, guard)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

const NAMED: [(&str, &str); 1] = [("x-request-id", "mine-3")];

#[tokio::test]
async fn the_access_log_names_the_route_and_never_what_was_asked() {
    let world = HttpFixture::new();
    let id = world.uploaded().await;
    let (lines, _guard) = Lines::watch();
    world.send(request(&format!("GET /asset/{id}?timeout=7&secret=1"), &NAMED, "")).await;
    world.send(request("GET /nowhere/secret", &NAMED, "")).await;
    let text = lines.text();
    assert!(text.contains("mine-3") && text.contains("method=GET"), "{text}");
    assert!(text.contains("route=\"/asset/{id}\" status=202 ms="), "{text}");
    assert!(text.contains("route=\"-\" status=404"), "{text}");
    for hidden in ["secret", "timeout", "http://", &id] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
}

#[tokio::test]
async fn whoever_hears_only_warnings_hears_of_which_request_they_are() {
    let world = HttpFixture::new();
    let (lines, _guard) = Lines::watch_from(Level::WARN);
    world.journal.feel(Mood::Fails(StoreErrorKind::Unavailable));
    world.send(request("POST /asset", &NAMED, "")).await;
    let text = lines.text();
    assert!(text.contains("a store did not answer") && text.contains("mine-3"), "{text}");
}

#[tokio::test]
async fn the_log_knows_what_the_client_is_not_told() {
    let world = HttpFixture::new();
    let id = world.created().await;
    let (lines, _guard) = Lines::watch();
    world.journal.feel(Mood::Fails(StoreErrorKind::Corrupt));
    world.send(request("POST /asset", &NAMED, "")).await;
    let text = lines.text();
    let told = "kind=Corrupt error=\"secret context: secret source\"";
    assert!(text.contains("ERROR") && text.contains(told) && text.contains("mine-3"), "{text}");
    for line in ["DELETE /asset/{id}", "GET /asset/{id}/state", "GET /asset/{id}/history"] {
        let (lines, _guard) = Lines::watch();
        world.send(request(&line.replace("{id}", &id), &NAMED, "")).await;
        let (text, told) = (lines.text(), format!("asset main#{id}: secret context"));
        assert!(text.contains(&told), "{line}: {text}");
    }
    world.journal.feel(Mood::Panics);
    world.send(request("POST /asset", &NAMED, "")).await;
    assert!(lines.text().contains("panic=\"secret panic\""), "{}", lines.text());
}
