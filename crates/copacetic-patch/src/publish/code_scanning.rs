//! The Security tab after the patch: what the second scan no longer finds is closed there, and nothing else.
//!
//! GitHub closes an alert when a newer analysis of its category does not have it, so what remains is uploaded into the
//! category of the scan that preceded the patch. That scan looked for secrets too, and may have had an ignore file and VEX
//! documents. Its report has their results, and the verification has shown that its layers are unchanged: what is not
//! looked for again is still there. (A layer of an earlier patch may be gone, but its findings are uploaded all the same;
//! the scan of the next image has the last word.)
//!
//! Without that report nothing is uploaded, since that would close alerts that this action cannot see. A separate category is
//! not used either: an alert has a state in each category, and would stay open in that of the scan
//! (docs.github.com/code-security/concepts/code-scanning/code-scanning-alerts, "About alerts from multiple configurations").

use actions_toolkit::Level;
use anyhow::Context as _;
use findings::sarif::{self, Analysis};
use findings::{Finding, Locator, SourceFiles, StoredResults};
use github::{CompressedSarif, Publisher};
use serde_json::Value;
use trivy::Report;

use crate::targets::{BaselineReport, ImagePatch};

/// Upload what remains in the patched image, by the scan `after` its patch. The image is promoted by now: a failed upload
/// is logged, and changes no verdict.
pub(crate) async fn upload(patch: &ImagePatch<'_, '_>, after: &Report) {
    let session = patch.session;
    let (ctx, request) = (session.ctx, &session.request);
    if !request.upload || !patch.is_reported() {
        return;
    }
    let image = &patch.target.image;
    let category = if let Some(category) = &request.category {
        request.leg.in_category(category)
    } else {
        let target = trivy::Target::Image(image.to_string());
        let (github, leg) = (ctx.github(), &request.leg);
        github::category(&github, leg, target.kind(), image.repository())
    };
    let upload = async {
        let token = request.token.as_ref();
        let Some(publisher) = Publisher::new(ctx, token, request.workspace.root())? else {
            return Ok(());
        };
        // The input's report itself: the baseline of the verification may be a scan of this step.
        let Some(baseline) = BaselineReport::from_input(patch).await? else {
            log_skipped(patch);
            return Ok(());
        };
        let mut findings = remaining(patch, after, baseline.scanned.report);
        keep_fingerprints(&publisher, &category, &mut findings).await?;
        let sarif = sarif(&findings, &after.trivy.version, &category)?;
        let file = CompressedSarif::new(&sarif, ctx.log().redactor())?;
        if publisher.upload(&file, Level::Notice).await?.is_some() {
            patch.log.info(format!(
                "uploaded the remaining findings to the Security tab: {category}"
            ));
        }
        anyhow::Ok(())
    };
    if let Err(error) = upload.await {
        let message = format!("the findings are not in the Security tab: {error:#}");
        patch.log.warning(message);
    }
}

fn log_skipped(patch: &ImagePatch<'_, '_>) {
    let log = &patch.log;
    let message = format!(
        "the Security tab was not updated for {}: without `report`, that would close the other findings of its scan; set `report` to the scan's report, or `upload: false`",
        patch.target.image
    );
    // `report` can't be set for several images: one notice for each would be noise.
    if patch.session.request.is_of_one_image() {
        log.notice(message);
    } else {
        log.info(message);
    }
}

// What remains of `baseline`, by the scan `after` the patch.
fn remaining(patch: &ImagePatch<'_, '_>, after: &Report, baseline: Report) -> Vec<Finding> {
    let request = &patch.session.request;
    let source = SourceFiles::new(request.workspace.root());
    let places = Locator::new(patch.target.image.repository(), "", &source);
    let places = match &request.dockerfile {
        Some(dockerfile) => places.built_from(dockerfile, &after.metadata),
        None => places,
    };
    findings::from_rescan(after.clone(), baseline, &places)
}

// As `trivy-scan` does it: both have one fingerprint for an alert.
async fn keep_fingerprints(
    publisher: &Publisher<'_>,
    category: &str,
    findings: &mut [Finding],
) -> anyhow::Result<()> {
    if !StoredResults::matter_for(findings) {
        return Ok(());
    }
    let mut stored = StoredResults::default();
    let read = |file: &Value| {
        stored.add(file);
        stored.decide(findings)
    };
    let (tool, patched) = (sarif::TRIVY.name, sarif::PATCHED);
    let read = publisher.read_stored(tool, category, patched, read);
    read.await
        .context("failed to read which alerts the findings have")?;
    stored.keep_fingerprints(findings);
    Ok(())
}

// A later `trivy-scan`, which compares with the findings before a patch, recognizes this analysis by its run id.
fn sarif(findings: &[Finding], version: &str, category: &str) -> anyhow::Result<Vec<u8>> {
    let analysis = Analysis {
        driver: &sarif::TRIVY,
        category,
        version,
        findings: sarif::open(findings),
    };
    sarif::write_run(sarif::PATCHED, &[analysis], sarif::RESULTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::plan::tests::report;
    use serde_json::json;

    // The rules of the results, and the id of the analysis.
    fn upload(after: Report, baseline: Report) -> (Vec<String>, Value) {
        let source = SourceFiles::default();
        let places = Locator::new("app", "", &source);
        let findings = findings::from_rescan(after, baseline, &places);
        let bytes = sarif(&findings, "", "image/app").unwrap();
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        let run = &file["runs"][0];
        let results = run["results"].as_array().unwrap();
        let rules = results.iter().map(|r| r["ruleId"].as_str().unwrap().into());
        (rules.collect(), run["automationDetails"]["id"].clone())
    }

    #[test]
    fn a_secret_is_not_closed_by_a_scan_that_did_not_look_for_it() {
        let mut baseline = report(&[("openssl", "1", "2"), ("zlib1g", "1", "")]);
        let secret = json!({"Target": "/app/key.pem", "Class": "secret", "Secrets": [{"RuleID": "private-key", "Severity": "HIGH", "Title": "Key", "StartLine": 1, "EndLine": 3}]});
        baseline
            .results
            .push(serde_json::from_value(secret).unwrap());
        let after = report(&[("openssl", "2", "-"), ("zlib1g", "1", "")]);
        let (rules, id) = upload(after, baseline);
        assert_eq!(rules, ["CVE-zlib1g", "private-key"]);
        assert_eq!(id, "image/app/patched");
    }

    #[test]
    fn a_finding_that_the_scan_ignored_is_not_opened() {
        let mut baseline = report(&[("openssl", "1", "2"), ("zlib1g", "1", "-")]);
        baseline.results[0].modified = vec![trivy::report::Modified {
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
        let (rules, _) = upload(after, baseline);
        assert_eq!(rules, ["CVE-perl"]);
    }
}
