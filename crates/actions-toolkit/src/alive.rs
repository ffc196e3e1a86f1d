//! Long work shows that it lives, and ends at its limit.

use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, interval_at};

use crate::{Log, text};

/// A silent job log looks like a hung one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Do `work`, and say every few seconds that `what` still goes on, also where the lines of `log` are held back.
pub async fn alive<T>(log: &Log, what: &str, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let mut signs = interval_at(start + SIGN_OF_LIFE, SIGN_OF_LIFE);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = signs.tick() => {
                let seconds = text::seconds(start.elapsed());
                log.sign_of_life(format!("… {what}: {seconds} so far"));
            }
        }
    }
}

/// Do `work` as [`alive`] does.
///
/// # Errors
/// When it takes longer than `limit`, which the input `input` sets.
pub async fn within<T>(
    log: &Log,
    what: &str,
    (input, limit): (&str, Duration),
    work: impl Future<Output = T>,
) -> anyhow::Result<T> {
    let done = tokio::time::timeout(limit, alive(log, what, work)).await;
    done.map_err(|_| {
        let limit = text::seconds(limit);
        anyhow!("{what} did not end within {limit}, the limit that the input `{input}` sets")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::Buffer;

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_named_also_where_lines_are_held_back() {
        let written = Buffer::default();
        let held = Log::to(true, false, written.clone()).hold();
        let work = async {
            held.log().info("a line of its own");
            tokio::time::sleep(SIGN_OF_LIFE * 2 + SIGN_OF_LIFE / 2).await;
            7
        };
        assert_eq!(alive(held.log(), "the scan", work).await, 7);
        drop(held);
        insta::assert_snapshot!(written.text(), @r"
        … the scan: 15 seconds so far
        … the scan: 30 seconds so far
        a line of its own
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_or_is_ended() {
        let limit = ("test-timeout", Duration::from_secs(40));
        let done = within(&Log::sink(), "the tests", limit, async { 7 })
            .await
            .unwrap();
        assert_eq!(done, 7);
        let start = Instant::now();
        let never = std::future::pending::<()>();
        let error = within(&Log::sink(), "the tests", limit, never)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the tests did not end within 40 seconds, the limit that the input `test-timeout` sets"
        );
        assert_eq!(start.elapsed(), Duration::from_secs(40));
    }
}
