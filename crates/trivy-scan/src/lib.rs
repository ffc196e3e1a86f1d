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
mod sbom;
mod scan;
mod snapshot;
mod verdict;

use actions_toolkit::{Context, Done};
use oci::ImageRef;
use trivy::Database;

pub use action::ACTION;
use baseline::Source;
use publish::Publisher;
use request::Request;
use sbom::Bills;
use scan::{Answer, Scans};

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when there are findings at or over `fail-on`;
/// anything else when there is no verdict.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::of(ctx)?;
    let login = match &request.login {
        Some(login) => Some(login::folder(ctx, login, images(&request))?),
        None => None,
    };
    let scans = Scans {
        ctx,
        request: &request,
        docker_config: login.as_ref().map(|folder| folder.path().to_owned()),
    };
    let asked = ctx.log().buffered();
    let version = async { anyhow::Ok(trivy::version(ctx.env(), asked.log()).await?) };
    let scanned = async {
        let database = database(ctx, &request).await?;
        anyhow::Ok((database, scans.all().await?))
    };
    // A Trivy that is refused must not see credentials. Without any, a scan shows it no more than the question does.
    let (version, (database, mut answers)) = if login.is_some() {
        (version.await?, scanned.await?)
    } else {
        tokio::try_join!(biased; version, scanned)?
    };
    drop(asked);
    let bills = Bills::all(&request, &answers);
    let said = Said {
        version,
        database,
        login,
    };
    // What is written and told needs no bill of materials, and the other way round.
    let (told, written) = tokio::join!(
        tell_everybody(&scans, &mut answers, said),
        sbom::write(ctx, &request, bills),
    );
    told?;
    written?;
    Ok(request.gate.judge(report::with_news(&answers))?)
}

// What is known beside the answers.
struct Said {
    version: String,
    database: Option<Database>,
    login: Option<tempfile::TempDir>,
}

// Compare with the baseline, write the files, the log and the summary, and tell GitHub.
async fn tell_everybody(
    scans: &Scans<'_>,
    answers: &mut [Answer],
    said: Said,
) -> anyhow::Result<()> {
    let (ctx, request) = (scans.ctx, scans.request);
    let Said {
        version,
        database,
        login,
    } = said;
    let publisher = Publisher::new(ctx, request)?;
    let mut remarks = compare::compare(scans, publisher.as_ref(), answers).await?;
    // Nobody needs the credentials any more.
    drop(login);

    let sarif = publish::sarif(answers, &version)?;
    scan::write(&request.sarif_file, &sarif.text)?;
    report::outputs(ctx, request, answers, database.as_ref());
    remarks.extend(report::notes(
        request,
        answers,
        database.as_ref(),
        sarif.left_out,
    ));
    report::log(ctx, answers, &remarks);

    let mut facts = report::Facts {
        database: database.as_ref(),
        security_tab: None,
        remarks,
    };
    // The summary stands whatever becomes of the rest.
    let told = tell(ctx, request, publisher.as_ref(), answers, &sarif, &version).await;
    if let Ok(true) = told {
        let github = ctx.github();
        let repository = github.repository().unwrap_or_default();
        let url = format!(
            "{}/{repository}/security/code-scanning",
            github.server_url()
        );
        facts.security_tab = Some(url);
    } else {
        publish::annotate(ctx, answers);
    }
    ctx.summary(report::summary(answers, &facts));
    told.map(drop)
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
                "the findings are not uploaded: there is no token, or this is not a workflow run",
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
