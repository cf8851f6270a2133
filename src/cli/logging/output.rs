//! Standard error for lines of the log. A write takes longer than the rest of a short request, so
//! lines about requests without an error wait for a moment, and are written together.

use std::io::Write;
use std::panic;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

/// Bytes of one write: a pipe takes up to so many at once, so no line of another process that
/// writes to the same pipe comes between the parts of a line.
const AT_ONCE: usize = 4_096;
/// How long a line may wait.
const WAIT: Duration = Duration::from_millis(100);

/// The output of the log. Lines are written in the order in which they came.
#[derive(Clone)]
pub(in crate::cli) struct LogOutput(Arc<LogOutputState>);

struct LogOutputState {
    lines: Mutex<WaitingLines>,
    /// Wakes the thread that writes lines which have waited.
    begun: Condvar,
}

struct WaitingLines {
    out: Box<dyn Write + Send>,
    waiting: Vec<u8>,
    /// Whether the thread waits for a line.
    idle: bool,
    /// Whether no thread will write what waits.
    ended: bool,
}

impl LogOutput {
    /// The output to `out`, with its thread.
    pub(super) fn start(out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let output = Self::without_thread(out);
        let timer = output.clone();
        thread::Builder::new()
            .name("log-output".to_owned())
            .spawn(move || timer.write_in_time())?;
        Ok(output)
    }

    fn without_thread(out: impl Write + Send + 'static) -> Self {
        let waiting = Vec::with_capacity(AT_ONCE);
        let lines = WaitingLines { out: Box::new(out), waiting, idle: false, ended: false };
        Self(Arc::new(LogOutputState { lines: Mutex::new(lines), begun: Condvar::new() }))
    }

    /// Writes a line, after those that wait.
    pub(super) fn write(&self, line: &[u8]) {
        self.lines().write(line);
    }

    /// Writes a line within [`WAIT`].
    pub(super) fn write_soon(&self, line: &[u8]) {
        let mut lines = self.lines();
        if lines.ended || line.len() > AT_ONCE {
            return lines.write(line);
        }
        if lines.waiting.len() + line.len() > AT_ONCE {
            lines.write_waiting();
        }
        lines.waiting.extend_from_slice(line);
        if std::mem::take(&mut lines.idle) {
            drop(lines);
            self.0.begun.notify_one();
        }
    }

    /// Writes what waits, and from now on every line at once.
    pub(in crate::cli) fn end(&self) {
        let mut lines = self.lines();
        lines.ended = true;
        lines.write_waiting();
    }

    /// Writes what waits before the report of a panic, which does not pass through here.
    pub(super) fn precede_panics(&self) {
        let (output, report) = (self.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            // The panicking thread may hold the lock.
            match output.0.lines.try_lock() {
                Ok(mut lines) => lines.write_waiting(),
                Err(TryLockError::Poisoned(lines)) => lines.into_inner().write_waiting(),
                Err(TryLockError::WouldBlock) => {}
            }
            report(panic);
        }));
    }

    fn write_in_time(&self) {
        loop {
            let mut lines = self.lines();
            while lines.waiting.is_empty() {
                lines.idle = true;
                lines = self.0.begun.wait(lines).unwrap_or_else(PoisonError::into_inner);
            }
            lines.idle = false;
            drop(lines);
            thread::sleep(WAIT);
            self.lines().write_waiting();
        }
    }

    fn lines(&self) -> MutexGuard<'_, WaitingLines> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WaitingLines {
    fn write(&mut self, line: &[u8]) {
        self.write_waiting();
        // A line that cannot be written is lost: there is nowhere to report it.
        let _ = self.out.write_all(line);
    }

    fn write_waiting(&mut self) {
        if !self.waiting.is_empty() {
            let _ = self.out.write_all(&self.waiting);
            self.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Sends each write.
    struct Writes(Sender<String>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8(bytes.to_vec()).unwrap()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn untimed() -> (LogOutput, Receiver<String>) {
        let (sender, writes) = channel();
        (LogOutput::without_thread(Writes(sender)), writes)
    }

    fn line(number: usize) -> Vec<u8> {
        format!("{number:099}\n").into_bytes()
    }

    #[test]
    fn lines_are_written_together_whole_and_in_order() {
        let (output, writes) = untimed();
        for number in 0..100 {
            output.write_soon(&line(number));
        }
        let long = vec![b'x'; AT_ONCE + 1];
        output.write_soon(&long);
        drop(output);
        let writes: Vec<String> = writes.iter().collect();
        assert_eq!(writes.len(), 100_usize.div_ceil(AT_ONCE / 100) + 1, "40 lines at once");
        let whole = |write: &String| write.len() <= AT_ONCE && write.ends_with('\n');
        let (last, groups) = writes.split_last().unwrap();
        assert!(groups.iter().all(whole) && last.as_bytes() == long);
        let all: Vec<u8> = (0..100).flat_map(line).collect();
        assert_eq!(groups.concat().as_bytes(), all);
    }

    #[test]
    fn a_line_that_is_written_at_once_comes_after_those_that_wait() {
        let (output, writes) = untimed();
        output.write_soon(b"one\n");
        output.write_soon(b"two\n");
        assert_eq!(writes.try_iter().count(), 0, "they wait");
        output.write(b"three\n");
        assert_eq!(writes.try_iter().collect::<String>(), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_line_waits_for_a_moment_also_after_a_pause() {
        let (sender, writes) = channel();
        let output = LogOutput::start(Writes(sender)).unwrap();
        for text in ["one\n", "two\n"] {
            output.write_soon(text.as_bytes());
            assert_eq!(writes.recv_timeout(Duration::from_secs(30)).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_panic_is_reported_after_the_lines_that_wait() {
        let (output, writes) = untimed();
        output.precede_panics();
        output.write_soon(b"one\n");
        let expected = || panic!("a panic of a test");
        let caught = panic::catch_unwind(expected).is_err();
        let written = writes.try_recv();
        let with_the_lock = panic::AssertUnwindSafe(|| {
            let _held = output.lines();
            expected();
        });
        let caught = caught && panic::catch_unwind(with_the_lock).is_err();
        drop(panic::take_hook());
        assert!(caught);
        assert_eq!(written.as_deref(), Ok("one\n"));
        output.write(b"two\n");
        assert_eq!(writes.try_recv().as_deref(), Ok("two\n"));
    }

    #[test]
    fn nothing_waits_after_the_end() {
        let (output, writes) = untimed();
        output.write_soon(b"one\n");
        output.end();
        assert_eq!(writes.try_recv().as_deref(), Ok("one\n"));
        output.write_soon(b"two\n");
        assert_eq!(writes.try_recv().as_deref(), Ok("two\n"));
    }
}
