//! Long work ends at its limit.

use std::time::Duration;

use actions_toolkit::{Log, alive, text};
use anyhow::anyhow;

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
    let done = tokio::time::timeout(limit, alive(log, what, work)).await;
    done.map_err(|_| {
        let limit = seconds(limit);
        anyhow!("{what} did not end within {limit}, the limit that the input `{input}` sets")
    })
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
        let start = tokio::time::Instant::now();
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
