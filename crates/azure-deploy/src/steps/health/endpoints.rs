//! Where the health is queried: several places, in turn until one is healthy.

use std::time::{Duration, Instant};

use actions_toolkit::{Log, PolicyFailure};

use super::endpoint::Endpoint;
use super::response::{Health, Problem};
use crate::kubernetes::{Cluster, poll_interval};

/// Healthy responses in a row that are required: the first request after a rollout may still be lost.
const IN_A_ROW: u32 = 3;
/// The interval after a healthy response.
const HEALTHY_INTERVAL: Duration = Duration::from_millis(50);

/// The identity may not query the health, and nothing else responds: the health is unknown.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotAllowed(String);

/// Where the health is queried, in turn until one is healthy.
pub(super) struct Endpoints {
    all: Vec<Endpoint>,
    /// How many are tried in any case; the one after them only while none of them is reached.
    regular: usize,
}

impl Endpoints {
    /// The one at the position that [`Endpoints::wait`] returned.
    pub(super) fn into_one(mut self, at: usize) -> Endpoint {
        self.all.swap_remove(at)
    }

    /// `inside` is queried only while none of `regular` is reached.
    pub(super) fn new(mut regular: Vec<Endpoint>, inside: Option<Endpoint>) -> Self {
        let count = regular.len();
        regular.extend(inside);
        Self {
            all: regular,
            regular: count,
        }
    }

    // The one after `at`, whose last problems are `last`.
    fn next(&self, at: usize, last: &[Option<Problem>]) -> usize {
        let next = (at + 1) % self.all.len();
        if next >= self.regular && self.is_reached(last) {
            return 0;
        }
        next
    }

    // Whether one of the regular ones was, or is still to be tried.
    fn is_reached(&self, last: &[Option<Problem>]) -> bool {
        let is_unreachable = |problem: &Option<Problem>| {
            matches!(
                problem,
                Some(Problem::Unreachable(_) | Problem::NoResponse(_))
            )
        };
        !last.iter().take(self.regular).all(is_unreachable)
    }

    /// Query each in turn until one is healthy three times in a row; which one.
    ///
    /// # Errors
    /// [`PolicyFailure`] with the last response of each when none is in time, or [`NotAllowed`].
    pub(super) async fn wait(
        &self,
        cluster: &Cluster,
        commit: Option<&str>,
        timeout: Duration,
        log: &Log,
    ) -> anyhow::Result<usize> {
        let query = async |at: usize| self.all[at].query(cluster, commit).await;
        self.wait_by(query, commit, timeout, log).await
    }

    async fn wait_by(
        &self,
        query: impl AsyncFn(usize) -> Result<Health, Problem>,
        commit: Option<&str>,
        timeout: Duration,
        log: &Log,
    ) -> anyhow::Result<usize> {
        let started = Instant::now();
        let (mut healthy, mut at) = (0, 0);
        // Whether something is known of the application itself.
        let mut is_known = false;
        let mut last: Vec<Option<Problem>> = vec![None; self.all.len()];
        while started.elapsed() <= timeout {
            let endpoint = &self.all[at];
            let response = query(at).await;
            is_known |= matches!(
                response,
                Ok(_) | Err(Problem::Unhealthy(_) | Problem::NoResponse(_))
            );
            match response {
                Ok(health) if healthy + 1 == IN_A_ROW => {
                    if health == Health::OfAny && commit.is_some() {
                        log.info("the response names no commit; that it is the new version is taken from the rollout");
                    }
                    log.info(format!(
                        "{endpoint} is healthy ({:.0}s)",
                        started.elapsed().as_secs_f64()
                    ));
                    return Ok(at);
                }
                Ok(_) => healthy += 1,
                Err(problem) => {
                    healthy = 0;
                    if last[at].as_ref() != Some(&problem) {
                        log.info(format!("{endpoint}: {}", problem.message()));
                    }
                    last[at] = Some(problem);
                    at = self.next(at, &last);
                }
            }
            let pause = if healthy > 0 {
                HEALTHY_INTERVAL
            } else {
                poll_interval::after(started.elapsed())
            };
            tokio::time::sleep(pause).await;
        }
        let mut problems = last.iter().flatten();
        let forbidden = problems.find(|problem| matches!(problem, Problem::Forbidden(_)));
        if let Some(problem) = forbidden.filter(|_| !is_known) {
            return Err(NotAllowed(problem.message().to_owned()).into());
        }
        let limit = format!("timed out after {}s (`health-timeout`)", timeout.as_secs());
        let message = |problem: &Option<Problem>| match problem {
            Some(problem) => problem.message().to_owned(),
            None => "not queried in time".to_owned(),
        };
        // What the last one said while the others were not there yet is not why.
        let is_reached = self.is_reached(&last);
        let tried = self.all.iter().zip(&last).enumerate();
        let tried = tried
            .filter(|(at, (_, problem))| *at < self.regular || (problem.is_some() && !is_reached));
        let tried = tried.map(|(_, one)| one);
        let tried: Vec<_> = tried.collect();
        let problem = if let [(endpoint, problem)] = tried[..] {
            format!("{endpoint} is unhealthy: {limit}: {}", message(problem))
        } else {
            let tried = tried.iter();
            let tried: Vec<_> = tried
                .map(|(endpoint, problem)| format!("{endpoint}: {}", message(problem)))
                .collect();
            format!("the service is unhealthy: {limit}: {}", tried.join("; "))
        };
        Err(PolicyFailure(problem).into())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use http_client::Certificates;

    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::at_url(url.to_owned(), Certificates::Verified).unwrap()
    }

    fn unreachable() -> Result<Health, Problem> {
        Err(Problem::Unreachable("no response".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_addresses_the_one_that_this_machine_reaches_is_enough() {
        let endpoints = vec![endpoint("http://a/"), endpoint("http://b/")];
        let endpoints = Endpoints::new(endpoints, None);
        let query = async |at: usize| match at {
            0 => unreachable(),
            _ => Ok(Health::OfAny),
        };
        let (limit, log) = (Duration::from_secs(20), Log::sink());
        let healthy = endpoints.wait_by(query, None, limit, &log).await;
        assert_eq!(healthy.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_right_that_is_missing_is_not_a_response() {
        let endpoints = || {
            Endpoints::new(
                vec![endpoint("http://a/")],
                Some(endpoint("http://inside/")),
            )
        };
        let forbidden = || Err(Problem::Forbidden("cannot get".into()));
        let limit = Duration::from_secs(1);
        let log = Log::sink();
        let query = async |at: usize| match at {
            0 => unreachable(),
            _ => forbidden(),
        };
        let checked = endpoints().wait_by(query, None, limit, &log).await;
        assert!(checked.unwrap_err().is::<NotAllowed>());
        for reached in [
            Problem::Unhealthy("status 503".into()),
            Problem::NoResponse("nothing listens there".into()),
        ] {
            let responses = RefCell::new(vec![Err(reached)]);
            let query = async |at: usize| match at {
                0 => responses.borrow_mut().pop().unwrap_or_else(unreachable),
                _ => forbidden(),
            };
            let checked = endpoints().wait_by(query, None, limit, &log).await;
            assert!(checked.unwrap_err().is::<PolicyFailure>());
        }
    }

    #[tokio::test]
    async fn what_is_inside_the_cluster_is_asked_only_where_nothing_else_is_reached() {
        let all = || {
            Endpoints::new(
                vec![endpoint("http://a/")],
                Some(endpoint("http://inside/")),
            )
        };
        let log = Log::sink();
        let inside = async |at: usize| match at {
            0 => unreachable(),
            _ => Ok(Health::OfAny),
        };
        let limit = Duration::from_secs(20);
        assert_eq!(all().wait_by(inside, None, limit, &log).await.unwrap(), 1);

        let queried = RefCell::new(Vec::new());
        let sick = async |at: usize| {
            queried.borrow_mut().push(at);
            Err(Problem::Unhealthy("status 503".into()))
        };
        let none = all()
            .wait_by(sick, None, Duration::from_millis(1), &log)
            .await;
        assert_eq!(
            none.unwrap_err().to_string(),
            "http://a/ is unhealthy: timed out after 0s (`health-timeout`): status 503"
        );
        assert!(queried.borrow().iter().all(|at| *at == 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_inside_before_the_address_responded_is_not_reported() {
        let endpoints = Endpoints::new(
            vec![endpoint("http://a/")],
            Some(endpoint("http://inside/")),
        );
        let first = RefCell::new(vec![unreachable()]);
        let query = async |_: usize| {
            let sick = || Err(Problem::Unhealthy("status 503".into()));
            first.borrow_mut().pop().unwrap_or_else(sick)
        };
        // The clock of the limit is the real one.
        let limit = Duration::from_millis(200);
        let none = endpoints.wait_by(query, None, limit, &Log::sink()).await;
        assert_eq!(
            none.unwrap_err().to_string(),
            "http://a/ is unhealthy: timed out after 0s (`health-timeout`): status 503"
        );
    }
}
