//! A part of a run in several jobs: the plan, what a shard did, and the results of all shards.

use std::collections::BTreeMap;

use actions_toolkit::{Context, Done, ExitStatus};
use anyhow::Context as _;
use fleet::{Draft, Entry, Fleet, Item, Lookup, Merged};
use oci::ImageRef;
use serde_json::{Map, Value, json};
use trivy::Severity;

use crate::publish::{issue, now, vex};
use crate::report::{self, ImageReport, Outcomes, Subject};
use crate::request::{Inputs, Request};
use crate::session::Session;
use crate::targets::Targets;

/// Bytes of an OpenVEX document of one image.
const VEX_LIMIT: u64 = 16 << 20;
/// What is only where the shard ran.
const FILES: [&str; 2] = ["vex-file", "report-file"];

/// Write the plan of `targets`.
///
/// # Errors
/// When it can't be written.
pub(crate) fn plan(
    session: &Session<'_>,
    targets: &Targets,
    lookup: Lookup,
) -> anyhow::Result<Done> {
    let Some(fleet) = &session.request.fleet else {
        return Ok(Done("up-to-date"));
    };
    let items = targets.patches.iter().map(|(target, found)| Item {
        image: target.image.to_string(),
        // In place, the tag refers to the patch, and not to the image that was patched.
        digest: lookup
            .digest(&target.image)
            .unwrap_or_else(|| found.digest().to_owned()),
        bytes: found.bytes(),
        created: found.created().to_owned(),
        ..Item::default()
    });
    let skipped = targets.skipped.iter();
    let skipped = skipped.map(|skip| lookup.skipped(&skip.image, &skip.reason, skip.is_lasting));
    let failed = targets.failed.iter().map(|failure| {
        let reason = format!("{:#}", failure.error);
        Entry::because(&failure.subject.to_string(), "error", reason)
    });
    let draft = Draft {
        items: items.collect(),
        others: skipped.chain(failed).collect(),
        unchanged: lookup.unchanged,
    };
    fleet.write_plan(session.ctx, draft)?;
    Ok(Done("planned"))
}

/// Write what the shard did, if the step is one.
///
/// # Errors
/// When it can't be written.
pub(crate) fn done(session: &Session<'_>, outcomes: &Outcomes) -> anyhow::Result<()> {
    let Some(fleet) = &session.request.fleet else {
        return Ok(());
    };
    let mut entries = BTreeMap::new();
    for image in &outcomes.done {
        entries.insert(image.original.to_string(), patched(session, image)?);
    }
    for failure in &outcomes.failed {
        let image = failure.subject.to_string();
        entries.insert(image.clone(), of_error(&image, &failure.error));
    }
    for skipped in &outcomes.skipped {
        let (image, reason) = (skipped.image.to_string(), format!("it {}", skipped.reason));
        entries.insert(image.clone(), Entry::because(&image, "skipped", reason));
    }
    fleet.write_shard(|item| match entries.get(&item.image) {
        Some(entry) => Entry {
            digest: digest_now(item, entry),
            created: item.created.clone(),
            ..entry.clone()
        },
        None => Entry::because(&item.image, "error", "it has no outcome".to_owned()),
    })
}

// What the tag refers to now: the patch, if it was pushed in place of the image.
fn digest_now(item: &Item, entry: &Entry) -> String {
    let is_in_place = entry.text("image") == Some(&item.image);
    let pushed = ["patched", "partial"].contains(&entry.result.as_str());
    let patch = entry.text("digest").filter(|_| is_in_place && pushed);
    patch.unwrap_or(&item.digest).to_owned()
}

/// Write that every image of the shard failed because of `error`, if the step is one.
pub(crate) fn failed(session: &Session<'_>, error: &anyhow::Error) {
    let Some(fleet) = &session.request.fleet else {
        return;
    };
    if let Err(error) = fleet.write_shard(|item| of_error(&item.image, error)) {
        session.ctx.log().warning(format!("{error:#}"));
    }
}

fn of_error(image: &str, error: &anyhow::Error) -> Entry {
    let result = ExitStatus::from_error(error).result();
    Entry::because(image, result, format!("{error:#}"))
}

fn patched(session: &Session<'_>, image: &ImageReport) -> anyhow::Result<Entry> {
    let mut outputs = match report::entry(image) {
        Value::Object(outputs) => outputs,
        _ => Map::new(),
    };
    for name in ["original", "result"].iter().chain(&FILES) {
        outputs.remove(*name);
    }
    if !image.vex.is_empty() {
        let file = session.request.workspace.path(Inputs::vex_file, &image.vex);
        let file = file.map_err(anyhow::Error::msg)?;
        let document: Value = serde_json::from_str(&file.read(VEX_LIMIT)?)
            .with_context(|| format!("failed to read `{}`", image.vex))?;
        outputs.insert("vex".to_owned(), document["statements"].clone());
    }
    let findings = image.after.by_severity();
    Ok(Entry {
        findings: findings
            .map(|(severity, count)| (severity.to_string(), count))
            .collect(),
        outputs,
        ..Entry::new(&image.original.to_string(), image.result)
    })
}

/// Put the results of all shards together: the summary, the issue, the OpenVEX document and the file of results.
///
/// # Errors
/// When there is no plan, a shard has no results, or an image could not be patched.
pub(crate) async fn merge(ctx: &Context, request: &Request, fleet: &Fleet) -> anyhow::Result<Done> {
    let merged = Merged::read(fleet)?;
    let entries = &merged.entries;
    ctx.output("fixed-count", merged.sum("fixed-count"));
    ctx.output("remaining-count", merged.sum("remaining-count"));
    let findings = merged.findings();
    let findings = Severity::WORST_FIRST.map(|severity| {
        let count = findings.get(severity.name()).copied();
        format!("{severity}={}", count.unwrap_or_default())
    });
    ctx.output("after", findings.join(","));
    write_vex(ctx, request, entries)?;
    if let Some(file) = &request.results_file {
        let results: Vec<_> = entries.iter().map(result).collect();
        file.write(&serde_json::to_vec_pretty(&results)?)?;
    }
    let detail = |entry: &Entry| {
        let number = |name: &str| entry.outputs.get(name).and_then(Value::as_u64);
        let fixed = number("fixed-count").unwrap_or_default();
        let image = entry.text("image").unwrap_or_default();
        format!("{fixed} fixed, {image}")
    };
    merged.write(ctx, fleet, ("Patch", detail))?;
    let rows = entries.iter().flat_map(remaining);
    let unknown: Vec<_> = entries
        .iter()
        .filter(|entry| matches!(entry.result.as_str(), "error" | "failed"))
        .filter_map(|entry| subject(request, &entry.image))
        .collect();
    let unknown: Vec<_> = unknown.iter().collect();
    issue::write(ctx, request, rows.collect(), &unknown).await;
    merged.verdict()?;
    let has = |result: &str| entries.iter().any(|entry| entry.result == result);
    let result = ["partial", "patched"]
        .into_iter()
        .find(|result| has(result));
    Ok(Done(result.unwrap_or("up-to-date")))
}

// One document of what was fixed in all images, also in earlier runs.
fn write_vex(ctx: &Context, request: &Request, entries: &[Entry]) -> anyhow::Result<()> {
    let statements = entries
        .iter()
        .filter_map(|entry| entry.outputs.get("vex")?.as_array());
    let statements: Vec<_> = statements.flatten().cloned().collect();
    if statements.is_empty() {
        return Ok(());
    }
    let id = format!("urn:uuid:{}", uuid::Uuid::new_v4());
    let document = vex::whole(&id, &statements, &now());
    let file = &request.vex_file;
    file.write(&serde_json::to_vec_pretty(&document)?)?;
    ctx.output("vex-file", file.relative());
    Ok(())
}

// As `results-file` has it in a run in one job.
fn result(entry: &Entry) -> Value {
    let mut outputs = entry.outputs.clone();
    outputs.remove("vex");
    outputs.insert("original".to_owned(), json!(entry.image));
    outputs.insert("result".to_owned(), json!(entry.result));
    if let Some(reason) = &entry.reason {
        outputs.insert("reason".to_owned(), json!(reason));
    }
    Value::Object(outputs)
}

fn remaining(entry: &Entry) -> Vec<issue::Row> {
    let image = entry.text("image").unwrap_or(&entry.image);
    let findings = entry.outputs.get("remaining").and_then(Value::as_array);
    let row = |finding: &Value| {
        let cell = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        issue::row(image, [&cell("id"), &cell("package"), &cell("reason")])
    };
    findings.into_iter().flatten().map(row).collect()
}

// What an error is about: an image, or a repository whose images are not known.
fn subject(request: &Request, name: &str) -> Option<Subject> {
    let image: ImageRef = name.parse().ok()?;
    if image.tag().is_none() {
        return Some(Subject::Repository(name.to_owned()));
    }
    let target = request.naming.target(&image).ok();
    Some(Subject::Image {
        image,
        patched: target.map(|target| target.patched),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_patch_in_place_the_tag_refers_to_the_patch() {
        let item = Item {
            image: "r.example/app:1".into(),
            digest: "sha256:original".into(),
            ..Item::default()
        };
        let digest = |result: &str, image: &str| {
            let mut entry = Entry::new(&item.image, result);
            let outputs = [("image", image), ("digest", "sha256:patch")];
            let outputs = outputs.map(|(name, value)| (name.to_owned(), value.into()));
            entry.outputs = outputs.into_iter().collect();
            digest_now(&item, &entry)
        };
        assert_eq!(digest("patched", "r.example/app:1"), "sha256:patch");
        assert_eq!(digest("partial", "r.example/app:1"), "sha256:patch");
        assert_eq!(digest("up-to-date", "r.example/app:1"), "sha256:original");
        assert_eq!(
            digest("patched", "r.example/app:1-patched"),
            "sha256:original"
        );
    }
}
