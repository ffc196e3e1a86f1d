//! The results of a run for programs: one entry for each image.

use actions_toolkit::{ExitStatus, WorkspacePath};
use serde_json::{Value, json};

use super::{Failure, ImageReport, Outcomes, PlatformReport, Skipped};

/// Write the results to `file`.
///
/// # Errors
/// When it can't be written.
pub(super) fn write(file: &WorkspacePath, outcomes: &Outcomes) -> anyhow::Result<()> {
    file.write(&serde_json::to_vec_pretty(&json(outcomes))?)
}

fn json(outcomes: &Outcomes) -> Value {
    let done = outcomes.done.iter().map(entry);
    let others = without_report(&outcomes.failed, &outcomes.skipped);
    Value::Array(done.chain(others).collect())
}

/// Why there is nothing else of each image that failed, or was skipped.
pub(crate) fn without_report(
    failed: &[Failure],
    skipped: &[Skipped],
) -> impl Iterator<Item = Value> {
    let failed = failed.iter().map(|failure| {
        let result = ExitStatus::from_error(&failure.error).result();
        let reason = format!("{:#}", failure.error);
        json!({"original": failure.subject.to_string(), "result": result, "reason": reason})
    });
    let skipped = skipped.iter().map(|skipped| {
        let reason = format!("it {}", skipped.reason);
        json!({"original": skipped.image.to_string(), "result": "skipped", "reason": reason})
    });
    failed.chain(skipped)
}

/// What became of `image`, under the names of the outputs; what an image does not have is `null`.
pub(crate) fn entry(image: &ImageReport) -> Value {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let remaining = image.remaining.iter();
    let remaining: Vec<_> = remaining
        .map(|[id, package, reason]| json!({"id": id, "package": package, "reason": reason}))
        .collect();
    json!({
        "original": image.original.to_string(),
        "result": image.result,
        "image": image.image.to_string(),
        "digest": image.digest,
        "patched-tag": text(&image.patched_tag),
        "incremental-tag": text(&image.incremental),
        "fixed-count": image.fixed,
        "remaining-count": image.remaining.len(),
        "before": image.before.map(|counts| counts.to_string()),
        "after": image.after.to_string(),
        "vex-file": text(&image.vex),
        "report-file": text(&image.report),
        "remaining": remaining,
        "platforms": platforms(&image.platforms),
    })
}

// `null` for an image that is not an index.
fn platforms(platforms: &[PlatformReport]) -> Option<Vec<Value>> {
    let entry = |part: &PlatformReport| {
        let report = part.report();
        json!({
            "platform": part.platform.to_string(),
            "result": part.result(),
            "reason": part.outcome.as_ref().err(),
            "digest": report.map(|report| &report.digest),
            "fixed-count": report.map(|report| report.fixed),
            "remaining-count": report.map(|report| report.remaining.len()),
            "report-file": report.map(|report| &report.report),
        })
    };
    (!platforms.is_empty()).then(|| platforms.iter().map(entry).collect())
}
