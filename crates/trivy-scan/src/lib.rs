//! The `trivy-scan` action: one scan, every answer.

mod action;
mod baseline;
mod compare;
mod coverage;
mod ignore;
mod login;
mod publish;
mod report;
mod request;
mod scan;
mod snapshot;
mod verdict;

use actions_toolkit::{Context, Done};
use container::ImageRef;
use trivy::{Database, Target};

pub use action::ACTION;
use baseline::Source;
use publish::Publisher;
use request::Request;
use scan::{Answer, Scans};

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when there are findings at or over `fail-on`;
/// anything else when there is no verdict.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::of(ctx)?;
    let version = trivy::version(ctx.env(), ctx.log()).await?;
    let database = database(ctx, &request).await?;
    let login = match &request.login {
        Some(login) => Some(login::folder(ctx, login, images(&request))?),
        None => None,
    };
    let scans = Scans {
        ctx,
        request: &request,
        docker_config: login.as_ref().map(tempfile::TempDir::path),
    };
    let mut answers = scans.all().await?;
    let publisher = Publisher::new(ctx, &request);
    let mut remarks = compare::compare(&scans, publisher.as_ref(), &mut answers).await?;
    // Nobody needs the credentials any more.
    drop(login);

    let sarif = publish::sarif(&answers, &version)?;
    scan::write(&request.sarif_file, &sarif.text)?;
    report::outputs(ctx, &request, &answers, database.as_ref());
    remarks.extend(report::notes(
        &request,
        &answers,
        database.as_ref(),
        sarif.left_out,
    ));
    report::log(ctx, &answers, &remarks);

    let mut facts = report::Facts {
        database: database.as_ref(),
        security_tab: None,
        remarks,
    };
    // The summary stands whatever becomes of the rest.
    let (told, written) = tokio::join!(
        tell(
            ctx,
            &request,
            publisher.as_ref(),
            &answers,
            &sarif,
            &version,
        ),
        sboms(ctx, &request, &answers),
    );
    if let Ok(true) = told {
        let github = ctx.github();
        let repository = github.repository().unwrap_or_default();
        let url = format!(
            "{}/{repository}/security/code-scanning",
            github.server_url()
        );
        facts.security_tab = Some(url);
    } else {
        publish::annotate(ctx, &answers);
    }
    ctx.summary(report::summary(&answers, &facts));
    told?;
    written?;
    Ok(request.gate.judge(report::with_news(&answers))?)
}

async fn database(ctx: &Context, request: &Request) -> anyhow::Result<Option<Database>> {
    let needed = |target| scan::of(request, target).needs_database();
    if !request.targets.iter().any(needed) {
        return Ok(None);
    }
    let database = Database::provide(&request.database, ctx.log()).await?;
    Ok(Some(database))
}

fn images(request: &Request) -> impl Iterator<Item = ImageRef> {
    let base = match &request.baseline {
        Source::Image(image) => Some(image.clone()),
        _ => None,
    };
    let given = request.targets.iter().filter_map(|t| t.given.parse().ok());
    given.chain(base)
}

// The software bills of materials, while GitHub is told.
async fn sboms(ctx: &Context, request: &Request, answers: &[Answer]) -> anyhow::Result<()> {
    let log = ctx.log().hold();
    let mut files = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        if matches!(answer.target.target, Target::Config(_)) {
            continue;
        }
        for sbom in &request.sbom {
            let file = request.sbom_file(index, *sbom);
            sbom.write(&answer.report_file, &file, ctx.env(), log.log())
                .await?;
            files.push(request.relative(&file));
        }
    }
    ctx.output("sbom-file", files.join("\n"));
    Ok(())
}

// Tell GitHub; whether the Security tab has the findings.
async fn tell(
    ctx: &Context,
    request: &Request,
    publisher: Option<&Publisher<'_>>,
    answers: &[Answer],
    sarif: &publish::File,
    version: &str,
) -> anyhow::Result<bool> {
    let Some(publisher) = publisher else {
        if request.github.upload && ctx.env().on_runner() {
            ctx.log().notice(
                "the findings are not uploaded: there is no token, or this is no run of a workflow",
            );
        }
        return Ok(false);
    };
    if request.github.comment {
        publisher.comment(answers).await;
    }
    if request.github.snapshot {
        publisher.snapshot(answers, version).await?;
    }
    if !request.github.upload {
        return Ok(false);
    }
    publisher.upload(sarif, answers).await
}
