//! The Security tab after the patch: what the second scan does not find any more is closed there.
//!
//! GitHub closes an alert when a newer analysis of its category does not have it, so the second scan goes
//! into the category of the scan that came before.

use actions_toolkit::Context;
use findings::sarif::{self, Analysis};
use findings::{Places, SourceFiles};
use github::{CodeScanning, Packed, Place, UploadError};
use trivy::{Report, Target};

use crate::job::Job;

/// Tell the Security tab what the patched image of `job` has left. The image is promoted by now: an upload
/// that fails is told of, and changes no verdict.
pub(crate) async fn bring_up_to_date(job: &Job<'_, '_>, after: &Report) {
    let session = job.session;
    let (ctx, request) = (session.ctx, &session.request);
    if !request.upload {
        return;
    }
    let github = ctx.github();
    let (Some(token), Some(repository)) = (&request.token, github.repository()) else {
        return;
    };
    let image = &job.order.image;
    let category = request.category.clone().unwrap_or_else(|| {
        let target = Target::Image(image.to_string());
        github::category(&github, target.kind(), image.repository())
    });
    let uploaded = async {
        let place = Place::of(&github, &request.workspace).map_err(anyhow::Error::new)?;
        let file = file(
            ctx,
            after.clone(),
            image.repository(),
            request.dockerfile.as_deref(),
            &category,
        )?;
        let http = ctx.http()?.clone();
        CodeScanning::new(http, github.api_url(), repository, token.expose())?
            .upload(&file, &place)
            .await
    };
    match uploaded.await {
        Ok(_) => ctx
            .log()
            .info(format!("the Security tab has what remains: {category}")),
        Err(error) if error.is_setting() => ctx.log().notice(format!(
            "the Security tab does not know what was mended: {error}"
        )),
        Err(error) => ctx.log().warning(format!(
            "the Security tab does not know what was mended: {error}"
        )),
    }
}

fn file(
    ctx: &Context,
    after: Report,
    name: &str,
    dockerfile: Option<&str>,
    category: &str,
) -> Result<Packed, UploadError> {
    let version = after.trivy.version.clone();
    let source = SourceFiles::new(ctx.github().workspace().map_err(anyhow::Error::new)?);
    let places = Places::new(name, "", &source);
    let places = match dockerfile {
        Some(path) => places.built_from(path, &after.metadata),
        None => places,
    };
    let findings = findings::of_report(after, &places);
    let analysis = Analysis {
        driver: &sarif::TRIVY,
        category,
        version: &version,
        findings: &findings,
    };
    let sarif = sarif::write(&[analysis], sarif::RESULTS)?;
    Ok(Packed::of(&sarif)?)
}
