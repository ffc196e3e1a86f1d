//! A part of a run in several jobs: the plan, what a shard found, and the results of all shards.

use actions_toolkit::{Context, Done};
use findings::Counts;
use fleet::{Draft, Entry, Fleet, Item, Lookup, Merged};
use trivy::Severity;

use crate::exploitation::Exploitation;
use crate::request::{Request, TargetRequest};
use crate::scan::{Listing, Outcomes, ScanOutcome};
use crate::{report, verdict};

/// Write the plan of what `listing` has: `request` has the images to scan.
///
/// # Errors
/// When it can't be written.
pub(crate) fn plan(
    ctx: &Context,
    request: &Request,
    listing: &Listing,
    lookup: Lookup,
) -> anyhow::Result<Done> {
    let Some(fleet) = &request.fleet else {
        return Ok(Done("passed"));
    };
    let skipped = listing.skipped.iter();
    let skipped = skipped.map(|skip| lookup.skipped(&skip.image, &skip.reason, skip.is_lasting));
    let failed = listing
        .failures
        .iter()
        .map(|failure| lookup.because(&failure.target, "error", failure.to_string()));
    let others = skipped.chain(failed).collect();
    let draft = Draft {
        items: request.targets.iter().filter_map(item).collect(),
        unchanged: lookup.unchanged,
        others,
    };
    fleet.write_plan(ctx, draft)?;
    Ok(Done("planned"))
}

fn item(target: &TargetRequest) -> Option<Item> {
    let listed = target.listed.as_ref()?;
    let image: Option<oci::ImageRef> = match &target.target {
        trivy::Target::Image(image) => image.parse().ok(),
        _ => None,
    };
    let digest = image.and_then(|image| image.digest().cloned());
    Some(Item {
        image: target.input.clone(),
        digest: listed.root.to_string(),
        part: digest
            .filter(|digest| *digest != listed.root)
            .map(|digest| digest.to_string()),
        bytes: listed.bytes,
        also: listed.also.clone(),
        created: listed.created.clone(),
    })
}

/// Write what the shard found, if the step is one.
///
/// # Errors
/// When it can't be written.
pub(crate) fn done(
    request: &Request,
    outcomes: &Outcomes,
    exploitation: &Exploitation,
) -> anyhow::Result<()> {
    write(request, |item| entry(request, item, outcomes, exploitation))
}

/// Write that no image of the shard could be scanned because of `error`, if the step is one.
pub(crate) fn failed(ctx: &Context, request: &Request, error: &anyhow::Error) {
    let reason = format!("{error:#}");
    let written = write(request, |item| {
        Entry::because(&item.image, "error", reason.clone())
    });
    if let Err(error) = written {
        ctx.log().warning(format!("{error:#}"));
    }
}

fn write(request: &Request, entry: impl Fn(&Item) -> Entry) -> anyhow::Result<()> {
    match &request.fleet {
        Some(fleet) => fleet.write_shard(entry),
        None => Ok(()),
    }
}

// What became of an image: of all of its platforms.
fn entry(
    request: &Request,
    item: &Item,
    outcomes: &Outcomes,
    exploitation: &Exploitation,
) -> Entry {
    let failures = outcomes.failures.iter();
    let failures = failures.filter(|failure| failure.target == item.image);
    let failures: Vec<_> = failures.map(ToString::to_string).collect();
    if !failures.is_empty() {
        return Entry::because(&item.image, "error", failures.join("; "));
    }
    let own: Vec<_> = outcomes
        .scanned
        .iter()
        .filter(|outcome| outcome.target.input == item.image)
        .collect();
    if own.is_empty() {
        return Entry::because(&item.image, "error", "it has no outcome".to_owned());
    }
    let verdict = verdict(request, &own, exploitation);
    let findings = own.iter().flat_map(|outcome| &outcome.findings);
    let counts: Counts = findings.collect();
    let by_severity = Severity::WORST_FIRST.map(|severity| {
        let name = severity.name().to_owned();
        (name, counts.get(severity))
    });
    let joined = |of: fn(&ScanOutcome) -> &str| {
        let parts: Vec<_> = own.iter().map(|outcome| of(outcome)).collect();
        parts.join("; ")
    };
    let hidden: usize = own.iter().map(|outcome| outcome.hidden.len()).sum();
    let outputs = [
        ("fixable", counts.fixable.into()),
        ("hidden", hidden.into()),
        ("category", joined(|outcome| &outcome.category).into()),
        (
            "scanned",
            joined(|outcome| &outcome.coverage.scanned).into(),
        ),
    ];
    let outputs = outputs.map(|(name, value)| (name.to_owned(), value));
    Entry {
        digest: item.digest.clone(),
        also: item.also.clone(),
        created: item.created.clone(),
        findings: by_severity.into_iter().collect(),
        reason: verdict.as_ref().err().cloned(),
        outputs: outputs.into_iter().collect(),
        ..Entry::new(
            &item.image,
            if verdict.is_ok() { "passed" } else { "failed" },
        )
    }
}

fn verdict(
    request: &Request,
    outcomes: &[&ScanOutcome],
    exploitation: &Exploitation,
) -> Result<(), String> {
    let gated = report::gated(outcomes.iter().copied());
    let judged = request.gate.judge(gated, exploitation);
    judged.map_err(|failure| failure.to_string())?;
    if request.fail_on_not_scanned {
        let not_scanned = outcomes.iter().map(|outcome| outcome.coverage.not_scanned);
        let judged = verdict::judge_coverage(not_scanned.sum());
        judged.map_err(|failure| failure.to_string())?;
    }
    Ok(())
}

/// Put the results of all shards together.
///
/// # Errors
/// When there is no plan, a shard has no results, an image could not be scanned, or one has findings at or over `fail-on`.
pub(crate) fn merge(ctx: &Context, fleet: &Fleet) -> anyhow::Result<Done> {
    let merged = Merged::read(fleet)?;
    let findings = merged.findings();
    ctx.output("total", findings.values().sum::<usize>());
    for severity in Severity::WORST_FIRST {
        let count = findings.get(severity.name()).copied();
        ctx.output(severity.name(), count.unwrap_or_default());
    }
    ctx.output("fixable", merged.sum("fixable"));
    ctx.output("hidden", merged.sum("hidden"));
    let scanned = |entry: &Entry| entry.text("scanned").unwrap_or_default().to_owned();
    merged.write(ctx, fleet, ("Scanned", scanned))?;
    merged.verdict()?;
    Ok(Done("passed"))
}
