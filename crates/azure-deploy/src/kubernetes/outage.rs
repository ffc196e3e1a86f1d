//! How long the API server may be unreachable.

use std::time::Duration;

use actions_toolkit::PolicyFailure;
use backon::{ConstantBuilder, Retryable as _};
use tokio::time::Instant;

use super::Rejected;

/// Between two requests to an API server that is unreachable.
const PAUSE: Duration = Duration::from_secs(1);

/// Distinguishes a short interruption of the API server from an outage.
#[derive(Debug, Default)]
pub(crate) struct OutageBudget(Option<Instant>);

impl OutageBudget {
    /// How long the API server may be unreachable.
    const BUDGET: Duration = Duration::from_secs(60);

    /// `None` when the request should be sent again a little later.
    ///
    /// # Errors
    /// When that is pointless: the API server rejects the request, sends what cannot be read, or has been unreachable for
    /// a minute.
    pub(crate) fn spend<T>(&mut self, result: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        match result {
            Ok(response) => {
                self.0 = None;
                Ok(Some(response))
            }
            Err(error) if self.allows(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn allows(&mut self, error: &anyhow::Error) -> bool {
        let since = self.0.get_or_insert_with(Instant::now);
        let is_verdict = error.is::<PolicyFailure>()
            // A response that cannot be read will not change.
            || error.is::<serde_json::Error>()
            || error
                .downcast_ref::<Rejected>()
                .is_some_and(|rejected| rejected.code < 500);
        !is_verdict && since.elapsed() <= Self::BUDGET
    }
}

/// Send a request until there is a response.
///
/// # Errors
/// With the last one, when the API server rejects the request, or has been unreachable for a minute.
pub(crate) async fn retry_outage<T, F>(request: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let mut budget = OutageBudget::default();
    let pauses = ConstantBuilder::default().with_delay(PAUSE);
    request
        .retry(pauses.without_max_times())
        .when(|error| budget.allows(error))
        .await
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use anyhow::{Context as _, anyhow};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_api_server_may_be_unreachable_for_a_minute() {
        for (failures, is_retried) in [(0, true), (50, true), (70, false)] {
            let mut requests = 0;
            let response = retry_outage(|| {
                requests += 1;
                ready(if requests > failures {
                    Ok(())
                } else {
                    Err(anyhow!("connection refused"))
                })
            });
            assert_eq!(response.await.is_ok(), is_retried, "{failures}s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_is_not_retried() {
        let started = Instant::now();
        let deleted = || ready(Err::<(), _>(PolicyFailure("deleted".into()).into()));
        assert!(retry_outage(deleted).await.is_err());
        let unreadable = || ready(serde_json::from_str::<u8>("{}").context("unreadable"));
        assert!(retry_outage(unreadable).await.is_err());
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
