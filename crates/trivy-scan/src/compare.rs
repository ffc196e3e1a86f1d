//! Every answer beside its baseline.

use trivy::Target;

use crate::baseline::{self, Baseline, Source};
use crate::publish::Publisher;
use crate::request::TargetRequest;
use crate::scan::{Answer, Scans};

/// Put every answer beside its baseline; what is returned says where there is none though one was asked for.
///
/// # Errors
/// When the baseline was to be scanned and could not be.
pub(crate) async fn compare(
    scans: &Scans<'_>,
    publisher: Option<&Publisher<'_>>,
    answers: &mut [Answer],
) -> anyhow::Result<Vec<String>> {
    let mut remarks = Vec::new();
    let request = scans.request;
    for answer in answers.iter_mut() {
        let base = match &request.baseline {
            Source::None => continue,
            Source::BaseBranch => match publisher {
                Some(publisher) => publisher.base(answer).await.map(|(base, remark)| {
                    remarks.extend(remark);
                    base
                }),
                None => Err("there is no token to ask for the base branch's analysis".into()),
            },
            Source::File(path) => {
                let sarif = baseline::read_file(path).map_err(anyhow::Error::msg)?;
                let found = Baseline::of_sarif(&sarif, &answer.category);
                found.ok_or_else(|| "the baseline file has no analysis of it".into())
            }
            Source::Folder(folder) => match answer.target.in_folder(folder) {
                Some(target) => Ok(Baseline::of_findings(&scans.findings(&target).await?)),
                None => Err("the baseline is a folder, and this is an image".into()),
            },
            Source::Image(image) if answer.target.is_image() => {
                let target = TargetRequest {
                    target: Target::Image(image.to_string()),
                    ..answer.target.clone()
                };
                Ok(Baseline::of_findings(&scans.findings(&target).await?))
            }
            Source::Image(_) => Err("the baseline is an image, and this is none".into()),
        };
        match base {
            Ok(base) => answer.comparison = Some(base.compare(&answer.findings)),
            Err(reason) => remarks.push(format!(
                "what is new in {} `{}` is not known: {reason}",
                answer.target.kind, answer.name
            )),
        }
    }
    if request.gate.new_only && answers.iter().any(|answer| answer.comparison.is_none()) {
        remarks.push(
            "`fail-on-new-only` is set, and where there is no baseline every finding counts as new"
                .to_owned(),
        );
    }
    Ok(remarks)
}
