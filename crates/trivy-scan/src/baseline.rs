//! Findings compared with earlier ones.

mod comparison;

use trivy::Target;

use crate::publish::Publisher;
use crate::request::{BaselineSource, TargetRequest, read_sarif};
use crate::scan::{ScanOutcome, Scans};

pub(crate) use comparison::{Baseline, Comparison};

/// Compare each of `outcomes` with its baseline. Returned are remarks, such as the reason where a requested baseline is
/// unavailable.
///
/// # Errors
/// When the scan of a baseline fails.
pub(crate) async fn compare(
    scans: &Scans<'_>,
    publisher: Option<&Publisher<'_>>,
    outcomes: &mut [ScanOutcome],
) -> anyhow::Result<Vec<String>> {
    let mut remarks = Vec::new();
    let request = scans.request;
    for outcome in outcomes.iter_mut() {
        let baseline = match &request.baseline {
            BaselineSource::None => continue,
            BaselineSource::BaseBranch => match publisher {
                Some(publisher) => publisher.baseline(outcome).await.map(|(baseline, remark)| {
                    remarks.extend(remark);
                    baseline
                }),
                None => Err("there is no token to read the analysis of the base branch".into()),
            },
            BaselineSource::File(path) => {
                let sarif = read_sarif(path).map_err(anyhow::Error::msg)?;
                let baseline = Baseline::from_sarif(&sarif, &outcome.category);
                baseline.ok_or_else(|| "the baseline file has no analysis of it".into())
            }
            BaselineSource::Directory(directory) => match outcome.target.in_directory(directory) {
                Some(target) => Ok(Baseline::from_findings(&scans.findings(&target).await?)),
                None => Err("the baseline is a directory, and this is an image".into()),
            },
            BaselineSource::Image(image) if outcome.target.is_image() => {
                let target = TargetRequest {
                    target: Target::Image(image.to_string()),
                    ..outcome.target.clone()
                };
                Ok(Baseline::from_findings(&scans.findings(&target).await?))
            }
            BaselineSource::Image(_) => Err("the baseline is an image, and this is not".into()),
        };
        match baseline {
            Ok(baseline) => outcome.comparison = Some(baseline.compare(&outcome.findings)),
            Err(reason) => remarks.push(format!(
                "new findings in {} `{}` are unknown: {reason}",
                outcome.target.scan_type, outcome.name
            )),
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
