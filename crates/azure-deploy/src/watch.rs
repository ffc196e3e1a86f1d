//! What wakes whoever waits for a rollout: a change of a workload, or of one of its pods. The state itself is read anew
//! then, as it would be without a watch: one that ends, or is not allowed, costs time and nothing else.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{BoxStream, SelectAll, select_all};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{sleep, timeout};

use crate::cluster::Cluster;
use crate::object::Object;
use crate::pace;

/// Changes of one moment are looked at once.
const GATHER: Duration = Duration::from_millis(20);

/// A stream that has an item for each change.
pub(crate) type Changes = BoxStream<'static, ()>;

/// The changes of several workloads.
pub(crate) struct Watch(SelectAll<Changes>);

impl Watch {
    /// Watch `workloads`, as far as that can be had.
    pub(crate) async fn of(cluster: &Cluster, workloads: &[&Object]) -> Self {
        let streams = workloads.iter().map(|object| cluster.changes(object));
        Self(select_all(join_all(streams).await.into_iter().flatten()))
    }

    /// Wait for a change; without one, as long as a question should come after another, `waited` after the first.
    pub(crate) async fn change(&mut self, waited: Duration) {
        let limit = if self.0.is_empty() {
            pace::pause(waited)
        } else {
            pace::LONGEST
        };
        // A stream that has nothing more to give would be asked in vain.
        let changes = self.0.next().then(async |change| match change {
            Some(()) => {}
            None => std::future::pending().await,
        });
        if timeout(limit, changes).await.is_ok() {
            sleep(GATHER).await;
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
        let begun = tokio::time::Instant::now();
        let mut watch = watch(vec![late, never]);
        watch.change(Duration::ZERO).await;
        assert_eq!(begun.elapsed(), Duration::from_millis(300) + GATHER);
        watch.change(Duration::ZERO).await;
        assert!(begun.elapsed() >= pace::LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_stream_it_is_asked_at_the_usual_pace() {
        let waited = Duration::from_secs(9);
        for streams in [vec![], vec![stream::empty().boxed()]] {
            let begun = tokio::time::Instant::now();
            let mut watch = watch(streams);
            watch.change(waited).await;
            watch.change(waited).await;
            assert!(begun.elapsed() >= pace::pause(waited));
            assert!(begun.elapsed() <= pace::LONGEST + 2 * pace::pause(waited));
        }
    }
}
