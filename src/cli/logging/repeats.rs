//! A warning that is repeated many times fills a disk and hides other lines. So the same line, with
//! the same values, is written a few times in a period, and then counted.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line_format::PlainValues;

/// How often the same line is written in a period.
const WRITTEN: u64 = 3;
/// The period.
const WHILE: Duration = Duration::from_mins(1);
/// The number of different lines that are tracked; any further line is always written.
const REMEMBERED: usize = 1_024;

/// The recent warnings, with their counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Repeats(Arc<Mutex<HashMap<u64, LogLine>>>);

#[derive(Debug)]
struct LogLine {
    text: String,
    times: u64,
}

impl Repeats {
    /// Logs the counts of suppressed lines periodically, until the process ends.
    pub(super) fn tell(self) -> std::io::Result<()> {
        let teller = std::thread::Builder::new().name("log-repeats".to_owned());
        teller.spawn(move || {
            loop {
                std::thread::sleep(WHILE);
                self.sum_up();
            }
        })?;
        Ok(())
    }

    fn sum_up(&self) {
        let lines = std::mem::take(&mut *self.lines());
        for line in lines.into_values().filter(|line| line.times > WRITTEN) {
            let again = line.times - WRITTEN;
            tracing::warn!(again, line = line.text, "a repeated log line was suppressed");
        }
    }

    fn writes(&self, event: &Event<'_>) -> bool {
        if *event.metadata().level() > Level::WARN {
            return true;
        }
        let mut text = PlainValues::new(String::new());
        event.record(&mut text);
        let mut hasher = DefaultHasher::new();
        (event.metadata().callsite(), &text.writer).hash(&mut hasher);
        let mut lines = self.lines();
        let full = lines.len() >= REMEMBERED;
        let key = hasher.finish();
        if full && !lines.contains_key(&key) {
            return true;
        }
        let line = lines.entry(key).or_insert_with(|| LogLine { text: text.writer, times: 0 });
        line.times += 1;
        line.times <= WRITTEN
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<u64, LogLine>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.writes(event)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing::subscriber::with_default;
    use tracing_subscriber::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_same_warning_is_written_a_few_times_and_then_counted() {
        let (written, repeats) = (Written::default(), Repeats::default());
        let out = written.clone();
        let lines =
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || out.clone());
        let heard = tracing_subscriber::registry().with(lines).with(repeats.clone());
        with_default(heard, || {
            for _ in 0..100 {
                tracing::warn!(asset = "a", "is broken");
                tracing::info!("is told every time");
            }
            tracing::warn!(asset = "b", "is broken");
            repeats.sum_up();
            tracing::warn!(asset = "a", "is broken");
            repeats.sum_up();
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!(count("is told every time"), 100);
        assert_eq!(count("again=97"), 1, "{text}");
        assert_eq!(count("is broken asset=\"a\""), 3 + 1, "{text}");
        assert_eq!(count("is broken asset=\"b\""), 1, "another value is another line");
        assert_eq!(count("was suppressed"), 1, "{text}");
    }
}
