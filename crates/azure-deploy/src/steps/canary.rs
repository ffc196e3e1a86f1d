//! The canary: a share of the pods gets the new version first, and is observed, before the workloads are changed.
//!
//! What holds: the workloads keep the old version until every step is done. However the deployment ends before that, the
//! rollback removes the canary as any object that it created; what a killed run leaves is removed by the next one.

mod deployment;

use std::time::{Duration, Instant};

use actions_toolkit::{BadInput, Context, Log, PolicyFailure, text::plural};
use anyhow::Context as _;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::health;
use crate::action::Inputs;
use crate::kubernetes::{Cluster, Object, OutageBudget};
use crate::report::Report;
use crate::request::{Request, Share};
use crate::rollout::{self, Superseded, find_superseded};

pub(crate) use deployment::{deployments, is_left_over, of};

/// Between two health checks of a step.
const INTERVAL: Duration = Duration::from_millis(200);
/// Between two looks at the pods.
const PODS_INTERVAL: Duration = Duration::from_secs(1);
/// So many unhealthy responses of a step end it, if they are more than one in a hundred.
const UNHEALTHY: u32 = 3;
/// At the end of a step, at most one in so many may have been unhealthy: a step of few responses has no other verdict.
const TOLERATED: u32 = 20;
/// How long the pods of a removed canary may take until they get no more requests.
const RETIREMENT: Duration = Duration::from_secs(30);

/// A canary that is observed, and its Deployment.
struct Pair<'a> {
    stable: &'a Object,
    canary: Object,
    /// The pods of both.
    pods: (i32, i32),
}

/// The canaries of a deployment.
#[derive(Default)]
pub(crate) struct Canaries(Vec<Object>);

/// Check that the canaries are not the objects of others.
///
/// # Errors
/// [`BadInput`] with the first that exists, and is not one of this action.
pub(crate) async fn check(cluster: &Cluster, request: &Request) -> anyhow::Result<()> {
    if request.canary.is_none() {
        return Ok(());
    }
    let objects = request.manifests.objects();
    for stable in deployments(objects, &request.names) {
        let canary = of(stable, 1);
        if let Some(live) = cluster.get(&canary).await?
            && !is_left_over(&live, objects, &[], &request.names)
        {
            let problem = format!(
                "the canary of {} would be {}, which is in the cluster and is not a canary; rename one of them",
                stable.label(),
                canary.label()
            );
            return Err(BadInput::new(Inputs::canary, problem).into());
        }
    }
    Ok(())
}

/// Deploy the canaries of `objects`, step by step, and observe each step.
///
/// # Errors
/// [`PolicyFailure`] when the new version fails in a step.
pub(crate) async fn run(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    objects: &[Object],
    report: &mut Report,
) -> anyhow::Result<Canaries> {
    let (log, mut canaries) = (ctx.log(), Canaries::default());
    let Some(canary) = &request.canary else {
        return Ok(canaries);
    };
    let stable = changed(cluster, request, objects, report).await?;
    if stable.is_empty() {
        log.info("there is no canary: no Deployment that runs an earlier version changes its pods");
        return Ok(canaries);
    }
    let started = Instant::now();
    let count = canary.shares.len();
    for (number, share) in canary.shares.iter().enumerate() {
        let _group = log.group(format!(
            "Canary, step {} of {count}: {}%",
            number + 1,
            share.percent()
        ));
        let pairs = deploy(log, cluster, &stable, *share, report).await?;
        canaries.0 = pairs.iter().map(|pair| pair.canary.clone()).collect();
        let limits = request.timeouts.rollout;
        let wait = rollout::wait(cluster, &canaries.0, limits, log, &mut report.evidence);
        let observed = match Box::pin(wait).await {
            Ok(_) => observe(ctx, request, cluster, &canaries.0, objects, report).await,
            Err(e) => Err(e),
        };
        if let Some(superseded) = removed(cluster, &canaries.0).await {
            return Err(superseded.into());
        }
        if let Some(superseded) = overtaken(cluster, &stable, report).await {
            // What overtook it serves; the canary of an older version must not.
            canaries.remove(log, cluster).await;
            return Err(superseded.into());
        }
        observed.map_err(|e| e.context(format!("the canary with {}", shown(&pairs))))?;
        report
            .canary
            .push(format!("{} for {}s", shown(&pairs), canary.pause.as_secs()));
    }
    report.finished("canary", started);
    Ok(canaries)
}

// The Deployments that run an earlier version, and whose pods the new one replaces.
async fn changed<'a>(
    cluster: &Cluster,
    request: &Request,
    objects: &'a [Object],
    report: &Report,
) -> anyhow::Result<Vec<&'a Object>> {
    let mut changed = Vec::new();
    let snapshot = report.snapshot.as_ref();
    // Without an earlier version there is nothing to roll back to.
    for object in deployments(objects, &request.names).filter(|_| report.previous.is_some()) {
        let Some(live) = snapshot.and_then(|snapshot| snapshot.live(object)) else {
            continue;
        };
        let template = |object: &serde_json::Value| object["spec"]["template"].clone();
        // An admission webhook that a dry run does not call may change anything.
        let planned = cluster.dry_run(object, Some(live)).await.ok();
        let is_same = planned.is_some_and(|planned| template(&planned) == template(live));
        if !is_same && live["spec"]["replicas"] != 0 && object.value["spec"]["replicas"] != 0 {
            changed.push(object);
        }
    }
    Ok(changed)
}

// Create or grow the canary of each Deployment. From its creation on, a rollback removes it.
async fn deploy<'a>(
    log: &Log,
    cluster: &Cluster,
    stable: &[&'a Object],
    share: Share,
    report: &mut Report,
) -> anyhow::Result<Vec<Pair<'a>>> {
    let mut pairs = Vec::new();
    for stable in stable {
        let live = cluster.get(stable).await?;
        let live = live.with_context(|| format!("{} was deleted", stable.label()))?;
        // An autoscaler may have changed it.
        let replicas = live["spec"]["replicas"].as_i64().unwrap_or(1);
        let replicas = i32::try_from(replicas).unwrap_or(i32::MAX);
        let pods = deployment::pods(share.percent(), replicas);
        let canary = of(stable, pods);
        if let Some(snapshot) = &mut report.snapshot {
            snapshot.set(&canary, None);
        }
        let applied = cluster.apply(&canary, false).await?;
        log.info(format!(
            "applied {}: {} of the new version next to {replicas} of the old one ({}% of the pods)",
            canary.label(),
            plural(usize::try_from(pods).unwrap_or_default(), "pod"),
            deployment::percent(pods, replicas)
        ));
        pairs.push(Pair {
            stable,
            canary: canary.with(applied),
            pods: (pods, replicas),
        });
    }
    Ok(pairs)
}

// Whether another deployment has removed one of them, to begin with its own version; it may have its own under the same name.
async fn removed(cluster: &Cluster, canaries: &[Object]) -> Option<Superseded> {
    let live = join_all(canaries.iter().map(|canary| cluster.get(canary))).await;
    let mut pairs = canaries.iter().zip(live);
    pairs.find_map(|(canary, live)| {
        let uid = |object: &serde_json::Value| object["metadata"]["uid"].clone();
        let is_other = match live {
            Ok(live) => live.is_none_or(|live| uid(&live) != uid(&canary.value)),
            Err(_) => false,
        };
        is_other.then(|| Superseded::removed(canary))
    })
}

// Whether another deployment has changed one of the workloads that the canaries are of, since the snapshot.
async fn overtaken(cluster: &Cluster, stable: &[&Object], report: &Report) -> Option<Superseded> {
    let snapshot = report.snapshot.as_ref()?;
    let before = stable
        .iter()
        .filter_map(|stable| Some(stable.with(snapshot.live(stable)?.clone())));
    find_superseded(cluster, &before.collect::<Vec<_>>()).await
}

// `33% of the pods`, with the name of each Deployment if there are several.
fn shown(pairs: &[Pair<'_>]) -> String {
    let share = |pair: &Pair<'_>| {
        let (canary, stable) = pair.pods;
        format!("{}% of the pods", deployment::percent(canary, stable))
    };
    match pairs {
        [one] => share(one),
        several => {
            let each = several.iter();
            let each = each.map(|pair| format!("{} of {}", share(pair), pair.stable.label()));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

// Observe a step until its time is up: the pods stay ready and are not restarted, and the application stays healthy.
async fn observe(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    canaries: &[Object],
    objects: &[Object],
    report: &mut Report,
) -> anyhow::Result<()> {
    let log = ctx.log();
    let pause = request.canary.as_ref().map(|canary| canary.pause);
    let pause = pause.unwrap_or_default();
    // What is applied after the canary does not lead to it yet.
    let is_there = |object: &&Object| {
        let mut applied = report.applied.iter();
        let snapshot = report.snapshot.as_ref();
        applied.any(|applied| applied.is_same(object))
            || snapshot.is_some_and(|snapshot| snapshot.live(object).is_some())
    };
    let there: Vec<_> = objects.iter().filter(is_there).cloned().collect();
    let probe = health::probe(ctx, request, cluster, report, &there).await?;
    let mut pods = Pods::default();
    let mut responses = Responses::default();
    let (started, mut looked) = (Instant::now(), None::<Instant>);
    loop {
        if looked.is_none_or(|looked| looked.elapsed() >= PODS_INTERVAL) {
            pods.look(request, cluster, canaries, log, report).await?;
            looked = Some(Instant::now());
        }
        let mut verdict = match &probe {
            Some(probe) => responses.count(probe.problem(cluster).await),
            None => Ok(()),
        };
        let is_over = started.elapsed() >= pause;
        if is_over {
            verdict = verdict.and_then(|()| responses.judge());
        }
        if let Err(failure) = verdict {
            // A pod that does not respond may have ended.
            rollout::collect_all(cluster, canaries, log, &mut report.evidence).await;
            return Err(failure.into());
        }
        if is_over {
            break;
        }
        sleep(INTERVAL.min(pause)).await;
    }
    let healthy = if probe.is_some() {
        format!(
            "; {} of {} unhealthy",
            responses.unhealthy,
            plural(responses.all as usize, "response")
        )
    } else {
        String::new()
    };
    log.info(format!(
        "the canary is healthy ({}s{healthy})",
        started.elapsed().as_secs()
    ));
    Ok(())
}

/// The responses of a step.
#[derive(Default)]
struct Responses {
    all: u32,
    unhealthy: u32,
    /// The last problem.
    problem: String,
}

impl Responses {
    // Count one more, which was healthy, or had this problem.
    fn count(&mut self, problem: Option<String>) -> Result<(), PolicyFailure> {
        self.all += 1;
        let Some(problem) = problem else {
            return Ok(());
        };
        self.unhealthy += 1;
        self.problem = problem;
        if self.unhealthy >= UNHEALTHY && self.unhealthy * 100 > self.all {
            return Err(self.failure());
        }
        Ok(())
    }

    // At the end of a step.
    fn judge(&self) -> Result<(), PolicyFailure> {
        if self.unhealthy * TOLERATED > self.all {
            return Err(self.failure());
        }
        Ok(())
    }

    fn failure(&self) -> PolicyFailure {
        PolicyFailure(format!(
            "{} of {} were unhealthy: {}",
            self.unhealthy,
            plural(self.all as usize, "response"),
            self.problem
        ))
    }
}

/// The pods of the canaries, as they were at the first look of a step.
#[derive(Default)]
struct Pods {
    /// The restarts of each canary.
    restarts: Option<Vec<i32>>,
    budget: OutageBudget,
}

impl Pods {
    // A pod that is no longer ready gets the time of a rollout; one that is restarted too often has failed.
    async fn look(
        &mut self,
        request: &Request,
        cluster: &Cluster,
        canaries: &[Object],
        log: &Log,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let limits = request.timeouts.rollout;
        let rollouts = canaries.iter().map(|canary| cluster.rollout(canary));
        let mut restarts = Vec::new();
        for (canary, rollout) in canaries.iter().zip(join_all(rollouts).await) {
            let Some(rollout) = self.budget.spend(rollout)? else {
                return Ok(());
            };
            let rollout = rollout.with_context(|| format!("{} was deleted", canary.label()))?;
            if !rollout.is_ready() {
                let one = std::slice::from_ref(canary);
                let wait = rollout::wait(cluster, one, limits, log, &mut report.evidence);
                Box::pin(wait).await?;
            }
            restarts.push(rollout.restarts());
        }
        let before = self.restarts.get_or_insert_with(|| restarts.clone());
        let both = before.iter().zip(&restarts).zip(canaries);
        for ((before, now), canary) in both {
            let restarts = now.saturating_sub(*before);
            if restarts > i32::from(limits.restarts) {
                rollout::collect_all(cluster, canaries, log, &mut report.evidence).await;
                let problem = format!(
                    "the containers of {} were restarted {restarts} times, and `max-restarts` is {}",
                    canary.label(),
                    limits.restarts
                );
                return Err(PolicyFailure(problem).into());
            }
        }
        Ok(())
    }
}

impl Canaries {
    /// Remove them: the workloads have the new version. A failure changes nothing of that: the next deployment removes them.
    pub(crate) async fn remove(self, log: &Log, cluster: &Cluster) {
        for canary in self.0 {
            match cluster.retire(&canary, &canary.value, RETIREMENT).await {
                Ok(()) => log.info(format!("removed {}", canary.label())),
                Err(e) => log.warning(format!(
                    "{} is left, and runs the new version too: {e:#}",
                    canary.label()
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_unhealthy_responses_among_many_are_tolerated() {
        let failed = |healthy: u32, unhealthy: u32| {
            let mut responses = Responses::default();
            let healthy = (0..healthy).map(|_| None);
            let unhealthy = (0..unhealthy).map(|_| Some("status 503".to_owned()));
            let failed = healthy
                .chain(unhealthy)
                .find_map(|it| responses.count(it).err());
            let failed = failed.or_else(|| responses.judge().err());
            failed.map(|failure| failure.0)
        };
        assert_eq!(failed(38, 2), None);
        assert_eq!(
            failed(0, 2).unwrap(),
            "2 of 2 responses were unhealthy: status 503"
        );
        assert_eq!(
            failed(8, 1).unwrap(),
            "1 of 9 responses were unhealthy: status 503"
        );
        assert_eq!(failed(300, 3), None);
        assert_eq!(
            failed(10, 3).unwrap(),
            "3 of 13 responses were unhealthy: status 503"
        );
        assert_eq!(
            failed(297, 4).unwrap(),
            "4 of 301 responses were unhealthy: status 503"
        );
    }
}
