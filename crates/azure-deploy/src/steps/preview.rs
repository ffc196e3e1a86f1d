//! The namespace of a preview, and its comment on the pull request.

use actions_toolkit::{BadInput, Context, Log, PolicyFailure, Secret, text as markdown};
use anyhow::{Context as _, ensure};
use github::{Commented, Publisher};
use jiff::Timestamp;
use serde_json::Value;

use crate::action::Inputs;
use crate::kubernetes::{Cluster, Object, is_conflict, text};
use crate::report::Report;
use crate::request::{PREVIEW_LABEL, Preview};

/// Check that the namespace is this preview's, or is to be created, and that every object goes into it.
///
/// # Errors
/// [`BadInput`] for a namespace that this action did not create for the preview, and for an object in no namespace.
pub(crate) async fn check(
    cluster: &Cluster,
    preview: &Preview,
    objects: &[Object],
) -> anyhow::Result<()> {
    if let Some(live) = cluster.namespace(&preview.namespace).await?
        && !preview.is_own(&live)
    {
        let problem = format!(
            "the namespace `{}` exists, and is not one that this action created for the preview `{}` of this repository; use another name, or another `namespace`",
            preview.namespace, preview.name
        );
        return Err(BadInput::new(Inputs::preview, problem).into());
    }
    let mut shared = objects.iter().filter(|object| {
        !object.is_namespace() && (object.is_definition() || cluster.is_without_namespace(object))
    });
    if let Some(object) = shared.next() {
        let problem = format!(
            "`{}` in {} is in no namespace, so that a preview would change it for everything in the cluster; leave it out of the manifests of a preview",
            object.label(),
            object.place()
        );
        return Err(BadInput::new(Inputs::manifests, problem).into());
    }
    Ok(())
}

/// Remove the other previews of the repository whose deadline has passed. What goes wrong is logged, and changes no verdict.
pub(crate) async fn remove_overdue(log: &Log, cluster: &Cluster, preview: &Preview) {
    if let Err(e) = overdue(log, cluster, preview).await {
        log.warning(format!("{e:#}"));
    }
}

/// The same as the whole of a run.
///
/// # Errors
/// When one of them is not removed.
pub(crate) async fn clean_up(
    ctx: &Context,
    cluster: &Cluster,
    preview: &Preview,
) -> anyhow::Result<()> {
    let Overdue { removed, kept } = overdue(ctx.log(), cluster, preview).await?;
    let line = match &removed[..] {
        [] => "no preview's deadline has passed".to_owned(),
        names => format!("removed {}", names.join(", ")),
    };
    let line = if kept == 0 {
        line
    } else {
        format!("{line}; {} not removed", markdown::plural(kept, "preview"))
    };
    ctx.summary(format!(
        "## 🧹 Previews removed\n\n{}\n",
        markdown::markdown(&line)
    ));
    ctx.log().info(&*line);
    ensure!(kept == 0, "{line}: see the warnings");
    Ok(())
}

/// The previews whose deadline has passed.
struct Overdue {
    /// The names of the removed namespaces.
    removed: Vec<String>,
    /// Those that could not be removed.
    kept: usize,
}

async fn overdue(log: &Log, cluster: &Cluster, preview: &Preview) -> anyhow::Result<Overdue> {
    let namespaces = cluster.namespaces(PREVIEW_LABEL).await;
    let namespaces = namespaces.context("previews whose deadline has passed are not removed")?;
    let now = Timestamp::now();
    let (mut removed, mut kept) = (Vec::new(), 0);
    for live in namespaces.iter().filter(|n| preview.is_overdue(n, now)) {
        // It is going already.
        if !text(live, "/metadata/deletionTimestamp").is_empty() {
            continue;
        }
        let name = text(live, "/metadata/name");
        match cluster.remove_namespace(live).await {
            Ok(()) => {
                log.info(format!(
                    "removed the namespace {name} of a preview whose deadline has passed"
                ));
                removed.push(name.to_owned());
            }
            // Its pull request, or another run, was faster.
            Err(e) if is_conflict(&e) => log.info(format!(
                "the namespace {name} of a preview has changed meanwhile, and is kept"
            )),
            Err(e) => {
                log.warning(format!("{e:#}"));
                kept += 1;
            }
        }
    }
    Ok(Overdue { removed, kept })
}

/// Show what [`remove`], or [`clean_up`], would remove.
///
/// # Errors
/// As those.
pub(crate) async fn show_removal(
    ctx: &Context,
    cluster: &Cluster,
    preview: &Preview,
) -> anyhow::Result<()> {
    let own = if preview.is_of_schedule {
        None
    } else {
        check(cluster, preview, &[]).await?;
        cluster.namespace(&preview.namespace).await?
    };
    let all = match cluster.namespaces(PREVIEW_LABEL).await {
        // It would fail the removal of others only.
        Err(e) if !preview.is_of_schedule => {
            let message = format!("previews whose deadline has passed are not shown: {e:#}");
            ctx.log().warning(message);
            Vec::new()
        }
        all => all?,
    };
    let names = would_remove(preview, own.as_ref(), &all, Timestamp::now());
    let line = match &names[..] {
        [] => "no namespace would be removed".to_owned(),
        names => format!("would be removed: the namespace {}", names.join(", ")),
    };
    ctx.summary(format!(
        "## 🔎 Dry run: nothing was changed\n\n{}\n",
        markdown::markdown(&line)
    ));
    ctx.log().info(line);
    Ok(())
}

// The preview's own namespace, if it exists, and those of others whose deadline has passed at `now`. What is going already is not
// among these.
fn would_remove(
    preview: &Preview,
    own: Option<&Value>,
    all: &[Value],
    now: Timestamp,
) -> Vec<String> {
    let is_left = |live: &&Value| text(live, "/metadata/deletionTimestamp").is_empty();
    let overdue = all.iter().filter(|live| preview.is_overdue(live, now));
    let others = overdue.filter(is_left);
    let all = own.into_iter().chain(others);
    all.map(|live| text(live, "/metadata/name").to_owned())
        .collect()
}

/// Remove the preview of a closed pull request.
///
/// # Errors
/// When the API server rejects a request; [`BadInput`] for a namespace that this action did not create.
pub(crate) async fn remove(
    ctx: &Context,
    cluster: &Cluster,
    preview: &Preview,
    token: Option<&Secret>,
) -> anyhow::Result<()> {
    let log = ctx.log();
    let namespace = &preview.namespace;
    check(cluster, preview, &[]).await?;
    let line = match cluster.namespace(namespace).await? {
        Some(live) => {
            cluster.remove_namespace(&live).await?;
            format!(
                "removed the namespace {namespace} of the preview {}",
                preview.name
            )
        }
        None => format!("there is no namespace {namespace}: nothing is removed"),
    };
    ctx.summary(format!(
        "## 🧹 Preview removed\n\n{}\n",
        markdown::markdown(&line)
    ));
    log.info(line);
    remove_overdue(log, cluster, preview).await;
    let body = format!(
        "### Preview `{}`\n\nThe pull request is closed, and the preview is removed.\n",
        preview.name
    );
    comment(ctx, preview, token, &body, true).await;
    Ok(())
}

/// Report the outcome of the deployment on the pull request.
pub(crate) async fn report(
    ctx: &Context,
    preview: &Preview,
    token: Option<&Secret>,
    deployed: &anyhow::Result<Report>,
) {
    let (state, address, image) = match deployed {
        Ok(report) => {
            let address = report.address.as_ref().map(|address| address.url.clone());
            let address = address.filter(|url| !url.is_empty());
            let address = address.unwrap_or_else(|| "none was found in the manifests".to_owned());
            (
                "Deployed, and healthy.".to_owned(),
                Some(address),
                Some(report.image.to_string()),
            )
        }
        Err(error) => {
            let state = if error.is::<PolicyFailure>() {
                "The new version is unhealthy"
            } else {
                "The deployment failed"
            };
            let cause = markdown::markdown(&format!("{error:#}"));
            (format!("{state}: {cause}"), None, None)
        }
    };
    let rows = [
        ("Address", address),
        ("Image", image.map(|image| markdown::code(&image))),
        ("Namespace", Some(markdown::code(&preview.namespace))),
        ("Commit", ctx.github().sha().map(markdown::code)),
        ("Run", ctx.github().run_url()),
    ];
    let mut table = markdown::Table::new(["", ""]);
    table.extend(
        rows.into_iter()
            .filter_map(|(name, value)| Some([name.to_owned(), value?])),
    );
    let body = format!(
        "### Preview `{}`\n\n{state}\n\n{table}\nIt is removed when the pull request is closed, or after {}.\n",
        preview.name, preview.expires
    );
    comment(ctx, preview, token, &body, false).await;
}

// What goes wrong is logged, and changes no verdict.
async fn comment(
    ctx: &Context,
    preview: &Preview,
    token: Option<&Secret>,
    body: &str,
    only_update: bool,
) {
    let log = ctx.log();
    let publish = async {
        let workspace = ctx.workspace()?;
        let publisher = Publisher::new(ctx, token, workspace.root())?;
        let Some(pull_request) = publisher.and_then(|publisher| publisher.pull_request()) else {
            return Ok(None);
        };
        let marker = format!("azure-deploy preview {}", preview.namespace);
        pull_request
            .comment(&marker, body, only_update)
            .await
            .map(Some)
    };
    match publish.await {
        Ok(Some(Commented::Created | Commented::Updated)) => {
            log.info("the pull request has a comment on the preview");
        }
        Ok(Some(Commented::NotPermitted)) => log.notice(
            "the pull request has no comment on the preview: the token may not write one; give the job `permissions: pull-requests: write`",
        ),
        Ok(None | Some(Commented::Unchanged | Commented::Skipped)) => {}
        Err(error) => log.warning(format!("the pull request has no comment on the preview: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_previews_whose_deadline_has_passed_would_be_removed_too() {
        let [own, other, mut going] = ["pr-7", "pr-6", "pr-5"].map(|name| {
            let preview = Preview::of_test(name, &format!("shop-{name}"));
            preview.namespace_object(None).value
        });
        going["metadata"]["deletionTimestamp"] = "2026-01-04T00:00:00Z".into();
        let all = [own.clone(), other, going];
        let preview = Preview::of_test("pr-7", "shop-pr-7");
        let at = |time: &str, own| would_remove(&preview, own, &all, time.parse().unwrap());
        let (before, after) = ("2026-01-03T00:00:00Z", "2026-01-05T00:00:00Z");
        assert_eq!(at(before, Some(&own)), ["shop-pr-7"]);
        assert_eq!(at(after, Some(&own)), ["shop-pr-7", "shop-pr-6"]);
        assert_eq!(at(after, None), ["shop-pr-6"]);
    }
}
