//! Long work reports its progress, and ends at its timeout.

use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, interval_at};

use crate::{Log, text};

/// A silent job log looks like a hung one.
const INTERVAL: Duration = Duration::from_secs(15);

/// Do `work`, and log every 15 seconds that `what` is still running, also where the lines of `log` are buffered; on a
/// terminal a moving line shows it instead.
pub async fn with_progress<T>(log: &Log, what: &str, work: impl Future<Output = T>) -> T {
    if let Some(_spinner) = log.spinner(what) {
        return work.await;
    }
    let start = Instant::now();
    let mut ticks = interval_at(start + INTERVAL, INTERVAL);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = ticks.tick() => {
                let elapsed = text::seconds(start.elapsed());
                log.progress(format!("… {what}: {elapsed} so far"));
            }
        }
    }
}

/// Do `work` as [`with_progress`] does.
///
/// # Errors
/// When it takes longer than `timeout`, which the input `input` sets.
pub async fn with_timeout<T>(
    log: &Log,
    what: &str,
    (input, timeout): (&str, Duration),
    work: impl Future<Output = T>,
) -> anyhow::Result<T> {
    let done = tokio::time::timeout(timeout, with_progress(log, what, work)).await;
    done.map_err(|_| {
        let timeout = text::seconds(timeout);
        anyhow!("{what} timed out after {timeout} (`{input}`)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::Buffer;

    #[tokio::test(start_paused = true)]
    async fn long_work_is_named_also_where_lines_are_buffered() {
        let written = Buffer::default();
        let buffered = Log::to(true, false, written.clone()).buffered();
        let work = async {
            buffered.log().info("a line of the work");
            tokio::time::sleep(INTERVAL * 2 + INTERVAL / 2).await;
            7
        };
        assert_eq!(with_progress(buffered.log(), "the scan", work).await, 7);
        drop(buffered);
        insta::assert_snapshot!(written.text(), @r"
        … the scan: 15 seconds so far
        … the scan: 30 seconds so far
        a line of the work
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_or_is_ended() {
        let timeout = ("test-timeout", Duration::from_secs(40));
        let done = with_timeout(&Log::sink(), "the tests", timeout, async { 7 })
            .await
            .unwrap();
        assert_eq!(done, 7);
        let start = Instant::now();
        let never = std::future::pending::<()>();
        let error = with_timeout(&Log::sink(), "the tests", timeout, never)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the tests timed out after 40 seconds (`test-timeout`)"
        );
        assert_eq!(start.elapsed(), Duration::from_secs(40));
    }
}
