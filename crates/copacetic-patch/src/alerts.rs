//! The Security tab after the patch: what the second scan does not find any more is closed there, and nothing else.
//!
//! GitHub closes an alert when a newer analysis of its category does not have it, so what remains goes into the category
//! of the scan that came before. That scan looked for secrets too, and may have had an ignore file and VEX documents. Its
//! report says so, and its layers are unchanged, as the proof has shown: what is not looked for again is still there. (Of
//! the layer of an earlier patch, which may go, it is said too; the scan of the next image has the last word.)
//!
//! Without its report nothing is uploaded: that would close what is not known of here. Nor into a category of our own,
//! since an alert has a state in each category, and in the scan's it would stay open
//! (docs.github.com/code-security/concepts/code-scanning/code-scanning-alerts, "About alerts from multiple configurations").

use actions_toolkit::Level;
use findings::sarif::{self, Analysis};
use findings::{Locator, SourceFiles};
use github::{CompressedSarif, Publisher};
use trivy::{Report, Target};

use crate::before::Before;
use crate::job::Job;

/// Tell the Security tab what the patched image of `job` has left. The image is promoted by now: an upload
/// that fails is told of, and changes no verdict.
pub(crate) async fn bring_up_to_date(job: &Job<'_, '_>, after: &Report) {
    let session = job.session;
    let (ctx, request) = (session.ctx, &session.request);
    if !request.upload {
        return;
    }
    let image = &job.order.image;
    let category = request.category.clone().unwrap_or_else(|| {
        let target = Target::Image(image.to_string());
        github::category(&ctx.github(), target.kind(), image.repository())
    });
    let uploaded = async {
        let token = request.token.as_ref();
        let Some(publisher) = Publisher::new(ctx, token, &request.workspace)? else {
            return Ok(());
        };
        // As it was given: what the patch was held against may be a scan of this step.
        let Some(given) = Before::given(job)? else {
            leave(job);
            return Ok(());
        };
        let file = file(job, after, given.scanned.report, &category)?;
        if publisher.upload(&file, Level::Notice).await?.is_some() {
            let message = format!("the Security tab has what remains: {category}");
            ctx.log().info(message);
        }
        anyhow::Ok(())
    };
    if let Err(error) = uploaded.await {
        let message = format!("the findings are not in the Security tab: {error:#}");
        ctx.log().warning(message);
    }
}

// Leave the Security tab as it is.
fn leave(job: &Job<'_, '_>) {
    let request = &job.session.request;
    let log = job.session.ctx.log();
    let said = format!(
        "the Security tab does not know what was mended in {}: without `report`, whatever else the scan of it found would be closed; give the scan's report, or set `upload: false`",
        job.order.image
    );
    // Of several images there can be none, and who patches those is not to read it of each.
    if request.orders.len() == 1 && request.filter.is_none() {
        log.notice(said);
    } else {
        log.info(said);
    }
}

fn file(
    job: &Job<'_, '_>,
    after: &Report,
    given: Report,
    category: &str,
) -> anyhow::Result<CompressedSarif> {
    let request = &job.session.request;
    let source = SourceFiles::new(&request.workspace);
    let places = Locator::new(job.order.image.repository(), "", &source);
    let places = match &request.dockerfile {
        Some(path) => places.built_from(path, &after.metadata),
        None => places,
    };
    CompressedSarif::new(&sarif(after.clone(), given, &places, category)?)
}

// What remains of the image of the report `given`, by the scan `after` its patch. The run id tells a later
// `trivy-scan`, which compares with what was found before a patch, to look further back.
fn sarif(
    after: Report,
    given: Report,
    places: &Locator<'_>,
    category: &str,
) -> anyhow::Result<Vec<u8>> {
    let version = after.trivy.version.clone();
    let findings = findings::from_rescan(after, given, places);
    let analysis = Analysis {
        driver: &sarif::TRIVY,
        category,
        version: &version,
        findings: sarif::open(&findings),
    };
    sarif::write_run(sarif::PATCHED, &[analysis], sarif::RESULTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::report;
    use serde_json::{Value, json};

    // The rules of what is told, and the id of the analysis.
    fn told(after: Report, given: Report) -> (Vec<String>, Value) {
        let source = SourceFiles::default();
        let places = Locator::new("app", "", &source);
        let bytes = sarif(after, given, &places, "image/app").unwrap();
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        let run = &file["runs"][0];
        let results = run["results"].as_array().unwrap();
        let rules = results.iter().map(|r| r["ruleId"].as_str().unwrap().into());
        (rules.collect(), run["automationDetails"]["id"].clone())
    }

    #[test]
    fn a_secret_is_not_closed_by_a_scan_that_did_not_look_for_it() {
        let mut given = report(&[("openssl", "1", "2"), ("zlib1g", "1", "")]);
        let secret = json!({"Target": "/app/key.pem", "Class": "secret", "Secrets": [{"RuleID": "private-key", "Severity": "HIGH", "Title": "Key", "StartLine": 1, "EndLine": 3}]});
        given.results.push(serde_json::from_value(secret).unwrap());
        let after = report(&[("openssl", "2", "-"), ("zlib1g", "1", "")]);
        let (rules, id) = told(after, given);
        assert_eq!(rules, ["CVE-zlib1g", "private-key"]);
        assert_eq!(id, "image/app/patched");
    }

    #[test]
    fn what_the_scan_ignored_is_not_opened() {
        let mut given = report(&[("openssl", "1", "2"), ("zlib1g", "1", "-")]);
        given.results[0].modified = vec![trivy::report::Modified {
            r#type: "vulnerability".into(),
            status: "ignored".into(),
            finding: json!({"PkgName": "zlib1g", "VulnerabilityID": "CVE-zlib1g"}),
            ..Default::default()
        }];
        let after = report(&[
            ("openssl", "2", "-"),
            ("zlib1g", "1", ""),
            ("perl", "1", ""),
        ]);
        let (rules, _) = told(after, given);
        assert_eq!(rules, ["CVE-perl"]);
    }
}
