//! The outputs of the step.

use findings::Counts;

use crate::outcome::{Health, Outcome};
use crate::request::Request;
use crate::test_run::coverage::percent;

/// Name and value of each output that has a value.
pub(super) fn outputs(request: &Request, outcome: &Outcome) -> Vec<(&'static str, String)> {
    let mut outputs = Vec::new();
    if let Some(image) = &outcome.image.image {
        if outcome.image.is_tagged {
            let names = &request.names.names;
            let pushed = outcome.image.pushed.first();
            let name = pushed.map(|pushed| &pushed.image).or(names.first());
            outputs.extend(name.map(|name| ("image", name.to_string())));
            outputs.extend(pushed.map(|pushed| ("digest", pushed.digest.to_string())));
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            outputs.push(("tags", names.join("\n")));
            outputs.push(("image-id", image.id.clone()));
            outputs.push(("created", image.created.clone()));
        }
        outputs.push(("size", image.size.to_string()));
    }
    if let Some(run) = &outcome.tests.run {
        let counts = run.junit.counts();
        outputs.push(("tests", counts.total.to_string()));
        outputs.push(("failures", counts.failed.to_string()));
        outputs.push(("skipped", counts.skipped.to_string()));
        outputs.push(("flaky", counts.flaky.to_string()));
        let new = run.new_failures.as_ref();
        outputs.extend(new.map(|new| ("new-failures", new.len().to_string())));
    }
    let coverage = outcome.tests.coverage.as_ref();
    outputs.extend(coverage.map(|coverage| ("coverage", coverage.percent())));
    let base = outcome.tests.base_coverage(request.tests.as_ref());
    let change = coverage.zip(base).map(|(own, base)| own.change(base));
    outputs.extend(change.map(|change| ("coverage-change", change)));
    let changed = outcome.tests.changed.as_ref().filter(|c| c.total > 0);
    let changed = changed.map(|c| percent(c.covered as u64, c.total as u64));
    outputs.extend(changed.map(|percent| ("changed-coverage", percent)));
    if let Some(analysis) = &outcome.analysis {
        let findings: usize = analysis.linted.iter().map(|l| l.severities().count()).sum();
        outputs.push(("findings", findings.to_string()));
    }
    if let Some(dependencies) = &outcome.dependencies {
        let total = dependencies.findings.iter().collect::<Counts>().total();
        outputs.push(("vulnerabilities", total.to_string()));
    }
    let health = match (&request.smoke, &outcome.image.health) {
        (None, _) => Some("skipped"),
        (Some(_), None) => None,
        (Some(_), Some(Health { problem: None, .. })) => Some("healthy"),
        (Some(_), Some(_)) => Some("unhealthy"),
    };
    outputs.extend(health.map(|health| ("health-status", health.to_owned())));
    outputs
}
