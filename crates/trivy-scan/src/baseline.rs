//! Findings compared with earlier ones.

mod comparison;
mod dismissed;

use std::fmt;

use actions_toolkit::text;
use trivy::Target;

use crate::exploitation::Exploitation;
use crate::publish::Publisher;
use crate::request::{BaselineSource, TargetRequest, read_sarif};
use crate::scan::{ScanOutcome, Scans};

use comparison::analysis;
pub(crate) use comparison::{Baseline, Comparison};
pub(crate) use dismissed::{find_dismissed, message as dismissed_message};

/// Why there is nothing to compare with.
#[derive(Debug)]
pub(crate) enum NoBaseline {
    /// It does not exist.
    Absent(String),
    /// Whether it exists is unknown: GitHub failed.
    Unavailable(anyhow::Error),
    /// Whether it exists is unknown: there is more than is read.
    Undecided(String),
}

impl NoBaseline {
    pub(crate) fn absent(reason: &str) -> Self {
        Self::Absent(reason.to_owned())
    }
}

impl fmt::Display for NoBaseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(reason) | Self::Undecided(reason) => f.write_str(reason),
            Self::Unavailable(error) => write!(f, "{error:#}"),
        }
    }
}

/// Compare each of `outcomes` with its baseline. Returned are remarks, such as the reason where a requested baseline is
/// unavailable.
///
/// # Errors
/// When the scan of a baseline fails, or it is unknown whether there is one and the gate needs it.
pub(crate) async fn compare(
    scans: &Scans<'_>,
    publisher: Option<&Publisher<'_>>,
    outcomes: &mut [ScanOutcome],
    exploitation: &Exploitation,
) -> anyhow::Result<Vec<String>> {
    let mut remarks = Vec::new();
    let request = scans.request;
    for outcome in outcomes.iter_mut() {
        let Some(baseline) = baseline(scans, publisher, outcome, &mut remarks).await? else {
            continue;
        };
        let what = format!("{} `{}`", outcome.target.scan_type, outcome.title());
        match baseline {
            Ok(baseline) => {
                let comparison = baseline.compare(&outcome.findings, &outcome.hidden);
                let gate = request.gate;
                let counts =
                    |at: &&usize| gate.new_only && gate.counts(&outcome.hidden[**at], exploitation);
                let unknown = comparison.undecided_hidden.iter().filter(counts).count();
                if unknown > 0 {
                    remarks.push(format!(
                        "the baseline of {what} has no findings that {} hides, so it is unknown whether {} of them are new; they do not count as new",
                        request.filter.inputs(),
                        text::plural(unknown, "finding")
                    ));
                }
                if comparison.undecided > 0 {
                    remarks.push(format!(
                        "the baseline of {what} has no room for all of its findings, so it is unknown whether {} of the lowest severities are new; they do not count as new",
                        text::plural(comparison.undecided, "finding")
                    ));
                }
                outcome.comparison = Some(comparison);
            }
            // Known findings must not fail the step as new ones.
            Err(NoBaseline::Unavailable(error)) if request.gate.new_only => {
                return Err(error.context(format!(
                    "failed to read the baseline of {what}, without which `fail-on-new-only` has no verdict; the job needs `permissions: security-events: read`, and GitHub has to respond"
                )));
            }
            Err(NoBaseline::Undecided(reason)) if request.gate.new_only => {
                return Err(anyhow::anyhow!(
                    "failed to read the baseline of {what}, without which `fail-on-new-only` has no verdict: {reason}"
                ));
            }
            Err(reason) => remarks.push(format!("new findings in {what} are unknown: {reason}")),
        }
    }
    if request.gate.new_only && outcomes.iter().any(|outcome| outcome.comparison.is_none()) {
        remarks.push(
            "`fail-on-new-only` is set, and without a baseline every finding counts as new"
                .to_owned(),
        );
    }
    Ok(remarks)
}

// That of `outcome`, from where the request has it; `None` if none is requested. `remarks` gets what there is to say of it.
async fn baseline(
    scans: &Scans<'_>,
    publisher: Option<&Publisher<'_>>,
    outcome: &ScanOutcome,
    remarks: &mut Vec<String>,
) -> anyhow::Result<Option<Result<Baseline, NoBaseline>>> {
    let request = scans.request;
    Ok(Some(match &request.baseline {
        BaselineSource::None => return Ok(None),
        BaselineSource::BaseBranch => match publisher {
            Some(publisher) => publisher.baseline(outcome).await.map(|(baseline, remark)| {
                remarks.extend(remark);
                baseline
            }),
            None => Err(NoBaseline::absent(
                "there is no token to read the analysis of the base branch",
            )),
        },
        BaselineSource::File(path) => {
            let sarif = read_sarif(path).map_err(anyhow::Error::msg)?;
            let baseline = Baseline::from_sarif(&sarif, &outcome.category);
            // Of several targets, its only analysis is that of one.
            let is_alone = request.targets.len() == 1;
            let baseline =
                baseline.filter(|_| is_alone || analysis(&sarif, &outcome.category).is_some());
            baseline.ok_or_else(|| NoBaseline::absent("the baseline file has no analysis of it"))
        }
        BaselineSource::Directory(directory) => match outcome.target.in_directory(directory) {
            Some(target) if target.is_absent() => Ok(Baseline::from_findings(&[], &request.filter)),
            Some(target) => Ok(Baseline::from_findings(
                &scans.findings(&target, &outcome.name).await?,
                &request.filter,
            )),
            None => Err(NoBaseline::absent(
                "the baseline is a directory, and this is an image",
            )),
        },
        BaselineSource::Image(_) if !outcome.target.is_image() => Err(NoBaseline::absent(
            "the baseline is an image, and this is not",
        )),
        BaselineSource::Image(image)
            if !request.is_base_of(image, &outcome.target, &outcome.name) =>
        {
            Err(NoBaseline::absent(
                "the baseline is an image of another repository",
            ))
        }
        BaselineSource::Image(image) => {
            let target = TargetRequest {
                target: Target::Image(image.to_string()),
                ..outcome.target.clone()
            };
            Ok(Baseline::from_findings(
                &scans.findings(&target, &outcome.name).await?,
                &request.filter,
            ))
        }
    }))
}
