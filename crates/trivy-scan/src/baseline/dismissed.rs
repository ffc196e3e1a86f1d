//! Findings whose alert a person has dismissed: the gate accepts them.

use std::collections::HashMap;

use actions_toolkit::text::plural;
use findings::{result_key, stored_keys};
use github::DismissedAlert;
use serde_json::Value;

use super::comparison::results;
use crate::exploitation::Exploitation;
use crate::publish::Publisher;
use crate::report;
use crate::request::Request;
use crate::scan::ScanOutcome;

/// Find out which of `outcomes` are dismissed on the branch that the change goes into, if the gate would fail otherwise.
/// Returned is a remark where that is unknown.
///
/// GitHub's list of alerts has no fingerprints; the results of a stored analysis have the numbers of their alerts.
///
/// # Errors
/// When GitHub fails: a finding that a person has accepted must not fail the step.
pub(crate) async fn find_dismissed(
    request: &Request,
    publisher: Option<&Publisher<'_>>,
    outcomes: &mut [ScanOutcome],
    exploitation: &Exploitation,
) -> anyhow::Result<Option<String>> {
    let gate = request.gate;
    let Some(publisher) = publisher.filter(|_| !gate.dismissed) else {
        return Ok(None);
    };
    if gate.judge(report::gated(&*outcomes), exploitation).is_ok() {
        return Ok(None);
    }
    let Some(alerts) = publisher.dismissed_alerts().await? else {
        return Ok(Some(
            "dismissed alerts count like open ones: the token may not read them; give the job `permissions: security-events: read`, or set `fail-on-dismissed: true`"
                .to_owned(),
        ));
    };
    if alerts.is_empty() {
        return Ok(None);
    }
    let by_number: HashMap<u64, DismissedAlert> = alerts
        .into_iter()
        .map(|alert| (alert.number, alert))
        .collect();
    for outcome in outcomes {
        let Some(sarif) = publisher.base_analysis(outcome).await? else {
            continue;
        };
        let results = results(&sarif, &outcome.category).unwrap_or_default();
        let alerts: HashMap<_, _> = results
            .iter()
            .map(|result| {
                let alert = alert_number(result).and_then(|number| by_number.get(&number));
                (result_key(result), alert)
            })
            .collect();
        let keys = stored_keys(&outcome.findings, |key| alerts.contains_key(key));
        let findings = outcome.findings.iter().zip(keys).enumerate();
        let accepted = findings.filter_map(|(at, (finding, key))| {
            let alert = alerts.get(&key?).copied().flatten()?;
            finding.is_open().then(|| (at, alert.clone()))
        });
        outcome.dismissed = accepted.collect();
    }
    Ok(None)
}

// `github/alertNumber` (docs.github.com/rest/code-scanning/code-scanning, "Get a code scanning analysis for a repository").
fn alert_number(result: &Value) -> Option<u64> {
    result["properties"]["github/alertNumber"].as_u64()
}

/// How many of `outcomes` are dismissed, for a person; `None` if none is.
pub(crate) fn message(outcomes: &[ScanOutcome]) -> Option<String> {
    let count: usize = outcomes.iter().map(|outcome| outcome.dismissed.len()).sum();
    let what = plural(count, "finding");
    (count > 0).then(|| format!("{what} dismissed on GitHub: accepted by the gate"))
}
