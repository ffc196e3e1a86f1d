//! Long work: a sign of life every few seconds, and an end.

use std::time::Duration;

use actions_toolkit::{Log, text};
use anyhow::bail;
use tokio::time::{Instant, interval_at, sleep_until};

/// A silent job log looks like a hung one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Do `work`, and say every few seconds that `what` still goes on.
///
/// # Errors
/// When it takes longer than `limit`, which the input `input` sets.
pub(crate) async fn within<T>(
    log: &Log,
    what: &str,
    (input, limit): (&str, Duration),
    work: impl Future<Output = T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    let mut signs = interval_at(start + SIGN_OF_LIFE, SIGN_OF_LIFE);
    let mut end = std::pin::pin!(sleep_until(start + limit));
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = &mut end => bail!(
                "{what} did not end within {}, the limit that the input `{input}` sets",
                seconds(limit)
            ),
            _ = signs.tick() => log.info(format!("… {what}: {} so far", seconds(start.elapsed()))),
        }
    }
}

/// A length of time for a reader: `45 seconds`.
pub(crate) fn seconds(time: Duration) -> String {
    text::plural(
        usize::try_from(time.as_secs()).unwrap_or(usize::MAX),
        "second",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
