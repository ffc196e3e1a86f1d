//! How long an API server may be away.

use std::time::Duration;

use actions_toolkit::PolicyFailure;
use tokio::time::{Instant, sleep};

use super::Refused;

/// Between two questions to an API server that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells a hiccup of the API server from an outage.
#[derive(Debug, Default)]
pub(crate) struct Patience(Option<Instant>);

impl Patience {
    /// How long the API server may be away.
    const LIMIT: Duration = Duration::from_secs(60);

    /// `None` when the question should be asked again a little later.
    ///
    /// # Errors
    /// When that would be in vain: the API server refuses, or has been away for a minute.
    pub(crate) fn with<T>(&mut self, answer: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        let error = match answer {
            Ok(answer) => {
                self.0 = None;
                return Ok(Some(answer));
            }
            Err(error) => error,
        };
        let since = self.0.get_or_insert_with(Instant::now);
        let verdict = error.downcast_ref::<PolicyFailure>().is_some()
            || error
                .downcast_ref::<Refused>()
                .is_some_and(|refused| refused.code < 500);
        if verdict || since.elapsed() > Self::LIMIT {
            return Err(error);
        }
        Ok(None)
    }
}

/// Ask until there is an answer.
///
/// # Errors
/// With the last one, when the API server refuses, or has been away for a minute.
pub(crate) async fn patiently<T>(ask: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut patience = Patience::default();
    loop {
        if let Some(answer) = patience.with(ask().await)? {
            return Ok(answer);
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::anyhow;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_api_server_may_be_away_for_a_minute() {
        for (away, is_waited_for) in [(0, true), (50, true), (70, false)] {
            let asked = Cell::new(0);
            let answer = patiently(async || {
                asked.set(asked.get() + 1);
                if asked.get() > away {
                    return Ok(());
                }
                Err(anyhow!("connection refused"))
            });
            assert_eq!(answer.await.is_ok(), is_waited_for, "{away} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_is_not_waited_for() {
        let begun = Instant::now();
        let answer = patiently(async || Err::<(), _>(PolicyFailure("gone".into()).into()));
        assert!(answer.await.is_err());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
