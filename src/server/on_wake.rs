//! A future that is polled only after it was woken. Beside a connection, which is polled for each
//! request, it would be polled as often, and take locks each time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

pub(super) struct OnWake<F> {
    future: F,
    signal: Arc<WakeSignal>,
}

struct WakeSignal {
    woken: AtomicBool,
    task: AtomicWaker,
}

impl<F: Future + Unpin> OnWake<F> {
    pub(super) fn new(future: F) -> Self {
        // The first poll arranges to be woken.
        let (woken, task) = (AtomicBool::new(true), AtomicWaker::new());
        Self { future, signal: Arc::new(WakeSignal { woken, task }) }
    }
}

impl<F: Future + Unpin> Future for OnWake<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Registered before the look: a wake in between reaches the task.
        self.signal.task.register(cx.waker());
        if !self.signal.woken.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.signal));
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for WakeSignal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio::sync::Notify;
    use tokio::time::{Duration, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_future_is_polled_when_it_is_woken_and_not_when_its_neighbour_is() {
        let (notify, mut polls) = (Notify::new(), 0);
        let mut told = pin!(notify.notified());
        let counted = poll_fn(|cx| {
            polls += 1;
            told.as_mut().poll(cx)
        });
        let mut told = OnWake::new(counted);
        for _ in 0..3 {
            tokio::select! {
                () = &mut told => panic!("nothing woke it"),
                () = sleep(Duration::from_secs(1)) => (),
            }
        }
        notify.notify_one();
        told.await;
        assert_eq!(polls, 2);
    }
}
