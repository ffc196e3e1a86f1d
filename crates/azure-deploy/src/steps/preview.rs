//! The namespace of a preview, and its comment on the pull request.

use actions_toolkit::{BadInput, Context, Log, PolicyFailure, Secret, text as markdown};
use github::{Commented, Publisher};
use jiff::Timestamp;

use crate::action::Inputs;
use crate::kubernetes::{Cluster, Object, text};
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
            "`{}` in `{}` is in no namespace, so that a preview would change it for everything in the cluster; leave it out of the manifests of a preview",
            object.label(),
            object.file
        );
        return Err(BadInput::new(Inputs::manifests, problem).into());
    }
    Ok(())
}

/// Remove the other previews of the repository whose deadline has passed. What goes wrong is logged, and changes no verdict.
pub(crate) async fn remove_overdue(log: &Log, cluster: &Cluster, preview: &Preview) {
    let namespaces = match cluster.namespaces(PREVIEW_LABEL).await {
        Ok(namespaces) => namespaces,
        Err(e) => {
            log.warning(format!(
                "previews whose deadline has passed are not removed: {e:#}"
            ));
            return;
        }
    };
    let now = Timestamp::now();
    for live in namespaces.iter().filter(|n| preview.is_overdue(n, now)) {
        // It is going already.
        if !text(live, "/metadata/deletionTimestamp").is_empty() {
            continue;
        }
        let name = text(live, "/metadata/name");
        match cluster.remove_namespace(live).await {
            Ok(()) => log.info(format!(
                "removed the namespace {name} of a preview whose deadline has passed"
            )),
            Err(e) => log.warning(format!("{e:#}")),
        }
    }
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
