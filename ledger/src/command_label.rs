//! The label of the command that a task works for. It travels with the task, so that a store can
//! count what a command consumes without a parameter in every port.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;

/// The label of a task that has none.
const UNLABELLED: &str = "other";

thread_local! {
    static LABEL: Cell<&'static str> = const { Cell::new(UNLABELLED) };
}

/// Runs `work` under `label`. Tasks that `work` spawns do not inherit the label.
pub async fn scope<F: Future>(label: &'static str, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let _outer = Outer(LABEL.replace(label));
        work.as_mut().poll(cx)
    })
    .await
}

/// The label of the running task.
#[must_use]
pub fn current() -> &'static str {
    LABEL.get()
}

/// Restores the outer label when a poll ends, also by a panic.
struct Outer(&'static str);

impl Drop for Outer {
    fn drop(&mut self) {
        LABEL.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_label_goes_as_far_as_its_task() {
        let inner = async { (current(), scope("get", async { current() }).await, current()) };
        assert_eq!(scope("create", inner).await, ("create", "get", "create"));
        let pause = async {
            tokio::task::yield_now().await;
            current()
        };
        let (one, other) = tokio::join!(scope("one", pause), async { current() });
        assert_eq!((one, other), ("one", "other"));
    }
}
