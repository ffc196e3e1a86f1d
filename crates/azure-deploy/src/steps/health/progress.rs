//! Waiting for what a controller publishes: an address, or the conditions of a route.

use std::time::{Duration, Instant};

use actions_toolkit::{Log, PolicyFailure};

use crate::kubernetes::{Cluster, Object, OutageBudget, poll_interval};

/// How long a rejection may last: a controller may see a route before the Service that it leads to.
const GRACE: Duration = Duration::from_secs(10);
/// Between two lines of the log.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// How far a controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State<T> {
    /// It has finished.
    Ready(T),
    /// It has not; with what is missing, or nothing to add.
    Waiting(String),
    /// It rejects the object; with the reason.
    Rejected(String),
}

/// Wait until the controller of `object` has finished by `state`, which queries the cluster.
///
/// # Errors
/// [`PolicyFailure`] when it rejects the object, or has not finished in time; with the object's events.
pub(super) async fn wait<T>(
    cluster: &Cluster,
    object: &Object,
    timeout: Duration,
    log: &Log,
    state: impl AsyncFn() -> anyhow::Result<State<T>>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    let mut logged = Instant::now();
    let mut rejected = None;
    let mut budget = OutageBudget::default();
    let label = object.label();
    loop {
        let state = budget.spend(state().await)?;
        let missing = match state.unwrap_or(State::Waiting(String::new())) {
            State::Ready(found) => return Ok(found),
            State::Waiting(missing) => {
                rejected = None;
                missing
            }
            State::Rejected(reason) => {
                let since = *rejected.get_or_insert_with(Instant::now);
                if since.elapsed() > GRACE {
                    return Err(PolicyFailure(reason).into());
                }
                reason
            }
        };
        if started.elapsed() > timeout {
            let namespace = object.namespace_or_default();
            let mut why = cluster
                .warnings(object.kind(), namespace, object.name())
                .await;
            if why.is_empty() {
                why.push("there are no warnings".to_owned());
            }
            if !missing.is_empty() {
                why.insert(0, missing);
            }
            return Err(PolicyFailure(format!(
                "timed out after {}s (`address-timeout`) waiting for the address of {label}: {}",
                timeout.as_secs(),
                why.join("; ")
            ))
            .into());
        }
        if logged.elapsed() > LOG_INTERVAL {
            let seconds = started.elapsed().as_secs();
            let missing = match &*missing {
                "" => String::new(),
                missing => format!(": {missing}"),
            };
            log.info(format!("{label} has no address yet ({seconds}s){missing}"));
            logged = Instant::now();
        }
        tokio::time::sleep(poll_interval::after(started.elapsed())).await;
    }
}
