//! The changes that end a wait: of a workload, or of one of its pods. The state itself is read again then, as it would be
//! without a watch: one that ends, or is not allowed, costs time and nothing else.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{SelectAll, select_all};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{sleep, timeout};

use crate::kubernetes::{Changes, Cluster, Object, poll_interval};

/// Changes within this time are handled together.
const BATCH_WINDOW: Duration = Duration::from_millis(20);

/// The changes of several workloads.
pub(crate) struct Watch(SelectAll<Changes>);

impl Watch {
    /// Watch `workloads`, if the identity may.
    pub(crate) async fn new(cluster: &Cluster, workloads: &[&Object]) -> Self {
        let streams = workloads.iter().map(|object| cluster.changes(object));
        Self(select_all(join_all(streams).await.into_iter().flatten()))
    }

    /// Wait for a change, or for the poll interval, `waited` after the first request.
    pub(crate) async fn change(&mut self, waited: Duration) {
        let longest = if self.0.is_empty() {
            poll_interval::after(waited)
        } else {
            poll_interval::LONGEST
        };
        // A stream that has ended would be polled without a pause.
        let changes = self.0.next().then(async |change| match change {
            Some(()) => {}
            None => std::future::pending().await,
        });
        if timeout(longest, changes).await.is_ok() {
            sleep(BATCH_WINDOW).await;
            while self.0.next().now_or_never().flatten().is_some() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn watch(streams: Vec<Changes>) -> Watch {
        Watch(select_all(streams))
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_ends_the_wait_and_so_does_time() {
        let late = stream::once(sleep(Duration::from_millis(300))).boxed();
        let never = stream::pending().boxed();
        let started = tokio::time::Instant::now();
        let mut watch = watch(vec![late, never]);
        watch.change(Duration::ZERO).await;
        assert_eq!(started.elapsed(), Duration::from_millis(300) + BATCH_WINDOW);
        watch.change(Duration::ZERO).await;
        assert!(started.elapsed() >= poll_interval::LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_stream_the_poll_interval_is_used() {
        let waited = Duration::from_secs(9);
        for streams in [vec![], vec![stream::empty().boxed()]] {
            let started = tokio::time::Instant::now();
            let mut watch = watch(streams);
            watch.change(waited).await;
            watch.change(waited).await;
            assert!(started.elapsed() >= poll_interval::after(waited));
            assert!(started.elapsed() <= poll_interval::LONGEST + 2 * poll_interval::after(waited));
        }
    }
}
