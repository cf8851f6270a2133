//! Logs and metrics for the functions' tests.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::emf::Emf;

/// Lines of the log, during the life of its guard.
#[derive(Clone, Default)]
pub(super) struct CapturedLines(Arc<Mutex<Vec<u8>>>);

pub(super) fn logged() -> (CapturedLines, DefaultGuard) {
    let lines = CapturedLines::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(lines.clone());
    (lines, tracing::subscriber::set_default(subscriber.finish()))
}

impl CapturedLines {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for CapturedLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for CapturedLines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The metrics of `work`, by name, and its result. The test's runtime has one thread.
pub(super) async fn counted<T>(work: impl Future<Output = T>) -> (Value, T) {
    let emf = Emf::new("test");
    let answer = {
        let _guard = metrics::set_default_local_recorder(&emf);
        work.await
    };
    let mut out = Vec::new();
    emf.flush(chrono::DateTime::UNIX_EPOCH, &mut out).unwrap();
    let mut all = Map::new();
    for line in String::from_utf8(out).unwrap().lines() {
        all.extend(serde_json::from_str::<Map<String, Value>>(line).unwrap());
    }
    (all.into(), answer)
}
