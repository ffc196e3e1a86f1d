//! Inputs beside the build: the tests' thresholds, the linters, the lock file, labels and cache.

use std::path::Path;
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Inputs};
use docker::{Cache, context_size};
use oci::ImageRef;
use trivy::{DatabaseRequest, Severity};

use super::{Linting, LockFile, relative};
use crate::analysis::LINTERS;
use crate::junit::Junit;

const MEGABYTE: u64 = 1_000_000;

/// `min-coverage`.
pub(super) fn share(inputs: &Inputs) -> Result<Option<f64>, BadInput> {
    let share = inputs.parse::<f64>("min-coverage")?;
    match share {
        Some(share) if !(0.0..=100.0).contains(&share) => Err(BadInput::new(
            "min-coverage",
            format!("`{share}` is no share in percent, 0 to 100"),
        )),
        share => Ok(share),
    }
}

/// `baseline-junit`.
pub(super) fn baseline(ctx: &Context) -> Result<Option<Junit>, BadInput> {
    let Some(given) = ctx.inputs().text("baseline-junit") else {
        return Ok(None);
    };
    let wrong = |problem: String| BadInput::new("baseline-junit", format!("`{given}` {problem}"));
    let text = std::fs::read_to_string(ctx.path("baseline-junit")?)
        .map_err(|e| wrong(format!("cannot be read: {e}")))?;
    Junit::parse(&text)
        .map(Some)
        .map_err(|e| wrong(format!("cannot be used: {e}")))
}

/// `context-limit`.
pub(super) fn small_enough(
    inputs: &Inputs,
    context: &Path,
    dockerfile: &str,
) -> Result<(), BadInput> {
    let Some(limit) = inputs.parse::<u64>("context-limit")? else {
        return Ok(());
    };
    let (size, largest) = context_size(context, dockerfile)
        .map_err(|e| BadInput::new("context", format!("cannot be read: {e:#}")))?;
    if size <= limit.saturating_mul(MEGABYTE) {
        return Ok(());
    }
    let largest = largest.map(|(path, bytes)| {
        let megabytes = bytes.div_ceil(MEGABYTE);
        format!(" (the largest file: `{}`, {megabytes} MB)", path.display())
    });
    Err(BadInput::new(
        "context",
        format!(
            "has {} MB, and `context-limit` allows {limit} MB{}: keep what the build does not need out of it by a \
             `.dockerignore`",
            size.div_ceil(MEGABYTE),
            largest.unwrap_or_default()
        ),
    ))
}

/// `static-analysis` and `fail-on-analysis`.
pub(super) fn linting(inputs: &Inputs, timeout: Duration) -> Result<Option<Linting>, BadInput> {
    let fail_on = match inputs.required("fail-on-analysis")? {
        "none" => None,
        "error" => Some(Severity::High),
        "warning" => Some(Severity::Medium),
        "note" => Some(Severity::Low),
        other => {
            return Err(BadInput::new(
                "fail-on-analysis",
                format!("`{other}` is none of `error`, `warning`, `note`, `none`"),
            ));
        }
    };
    let (linters, required) = match inputs.required("static-analysis")? {
        "none" => return Ok(None),
        "auto" => (LINTERS.iter().collect(), false),
        names => {
            let names = names.split([',', '\n']).map(str::trim);
            let linters = names
                .filter(|name| !name.is_empty())
                .map(|name| {
                    let found = LINTERS.iter().find(|linter| linter.name == name);
                    found.ok_or_else(|| {
                        let known: Vec<_> = LINTERS
                            .iter()
                            .map(|linter| format!("`{}`", linter.name))
                            .collect();
                        let known = known.join(", ");
                        BadInput::new(
                            "static-analysis",
                            format!("`{name}` is none of {known}, `auto`, `none`"),
                        )
                    })
                })
                .collect::<Result<_, _>>()?;
            (linters, true)
        }
    };
    Ok(Some(Linting {
        linters,
        required,
        fail_on,
        timeout,
    }))
}

/// `lock-file`, `fail-on` and the vulnerability database.
pub(super) fn dependencies(ctx: &Context) -> Result<Option<LockFile>, BadInput> {
    let inputs = ctx.inputs();
    let fail_on = match inputs.required("fail-on")? {
        "none" => None,
        text => Some(text.parse().map_err(|_| {
            BadInput::new(
                "fail-on",
                format!("`{text}` is none of `critical`, `high`, `medium`, `low`, `none`"),
            )
        })?),
    };
    let Some(given) = inputs.text("lock-file") else {
        return Ok(None);
    };
    if !ctx.path("lock-file")?.is_file() {
        return Err(BadInput::new(
            "lock-file",
            format!("there is no file `{given}` in the workspace"),
        ));
    }
    let mirrors = inputs.lines("db-repositories");
    Ok(Some(LockFile {
        lock_file: relative("lock-file", given)?,
        fail_on,
        trivy_image: trivy_image(ctx)?,
        database: DatabaseRequest {
            mirrors: mirrors.into_iter().map(ToOwned::to_owned).collect(),
            cache: match inputs.text("cache-directory") {
                Some(_) => ctx.path("cache-directory")?,
                None => trivy::default_cache(ctx.env()),
            },
            offline: inputs.flag("offline")?,
            max_age: inputs.age("max-database-age")?,
        },
    }))
}

// `trivy-image`, or the one that this action was released with: its image says so.
fn trivy_image(ctx: &Context) -> Result<Option<ImageRef>, BadInput> {
    let given = ctx.inputs().text("trivy-image");
    let Some(given) = given.or(ctx.env().get("SEAWORTHY_TRIVY_IMAGE")) else {
        return Ok(None);
    };
    let wrong = |problem: String| BadInput::new("trivy-image", format!("`{given}`: {problem}"));
    let image: ImageRef = given.parse().map_err(|e| wrong(format!("{e}")))?;
    if image.digest().is_none() {
        // What is in it is started with what this step may do.
        let problem = "an image is wanted by its digest, `name@sha256:…`";
        return Err(wrong(problem.to_owned()));
    }
    Ok(Some(image))
}

/// `cache-from`, `cache-inline` and `no-cache`.
pub(super) fn cache(inputs: &Inputs) -> Result<Cache, BadInput> {
    let from = inputs.lines("cache-from");
    for image in &from {
        image
            .parse::<ImageRef>()
            .map_err(|e| BadInput::new("cache-from", format!("`{image}`: {e}")))?;
    }
    Ok(Cache {
        from: from.into_iter().map(ToOwned::to_owned).collect(),
        inline: inputs.flag("cache-inline")?,
        none: inputs.flag("no-cache")?,
    })
}

/// `labels`, and where the image comes from.
///
/// Keys: github.com/opencontainers/image-spec/blob/main/annotations.md. There is no `created`: it would give every
/// build of the same commit another id.
pub(super) fn labels(ctx: &Context) -> Result<Vec<(String, String)>, BadInput> {
    let github = ctx.github();
    let source = github
        .repository()
        .map(|name| format!("{}/{name}", github.server_url()));
    let revision = github.sha().map(ToOwned::to_owned);
    let mut labels: Vec<(String, String)> = [("revision", revision), ("source", source)]
        .into_iter()
        .filter_map(|(key, value)| Some((format!("org.opencontainers.image.{key}"), value?)))
        .collect();
    for line in ctx.inputs().lines("labels") {
        let (key, value) = line
            .split_once('=')
            .filter(|(key, _)| !key.is_empty() && !key.contains(char::is_whitespace))
            .ok_or_else(|| {
                BadInput::new(
                    "labels",
                    format!("line `{line}` is not of the form `key=value`"),
                )
            })?;
        labels.retain(|(known, _)| known != key);
        labels.push((key.to_owned(), value.to_owned()));
    }
    Ok(labels)
}
