//! The findings and packages of the image before it is patched.

use std::collections::BTreeSet;
use std::io::Read as _;

use actions_toolkit::BadInput;
use anyhow::Context as _;
use docker::ImageInfo;
use trivy::{REPORT_LIMIT, Report, Scanned};

use crate::request::Inputs;
use crate::targets::ImagePatch;

/// The bytes of a file by which another format is recognized.
const START: usize = 4096;

/// A report of the original.
#[derive(Clone)]
pub(crate) struct BaselineReport {
    pub(crate) scanned: Scanned,
    /// Findings that the input's report suppresses, by package and id: no later report counts them either.
    pub(crate) suppressed: BTreeSet<(String, String)>,
    /// Whether this run made it: only then is it certain that both scans used the same database.
    pub(crate) is_own_scan: bool,
}

impl BaselineReport {
    /// The report of the input `report`, if it lists the installed packages; otherwise a scan.
    ///
    /// # Errors
    /// [`BadInput`] for a report that is not of this image; anything else when the image can't be scanned.
    pub(crate) async fn load(patch: &ImagePatch<'_, '_>) -> anyhow::Result<Self> {
        let Some(report) = Self::from_input(patch).await? else {
            return Self::scan(patch, BTreeSet::new()).await;
        };
        // Only a list says which packages are installed: a finding alone may be about one that Copa would then
        // install.
        if !lists_packages(report.report()) {
            patch.log.notice(
                "the report does not list the installed packages (`--list-all-pkgs`): scanning again",
            );
            return Self::scan(patch, report.suppressed).await;
        }
        Ok(report)
    }

    /// The report of the input `report`, if it is set.
    ///
    /// # Errors
    /// [`BadInput`] for a report that is not of this image.
    pub(crate) async fn from_input(patch: &ImagePatch<'_, '_>) -> anyhow::Result<Option<Self>> {
        let request = &patch.session.request;
        let Some(file) = request.report.as_ref().filter(|_| patch.is_reported()) else {
            return Ok(None);
        };
        let name = file.relative();
        let mut raw = Vec::new();
        file.open()?
            .take(REPORT_LIMIT as u64 + 1)
            .read_to_end(&mut raw)
            .with_context(|| format!("failed to read `{name}`"))?;
        if raw.len() > REPORT_LIMIT {
            let problem = format!("`{name}` is larger than {REPORT_LIMIT} bytes");
            return Err(BadInput::new(Inputs::report, problem).into());
        }
        let start = String::from_utf8_lossy(&raw[..raw.len().min(START)]).into_owned();
        let scanned = Scanned::parse_apart(raw).await.map_err(|_| {
            let problem = format!("`{name}` {}", instead_of_a_report(&start));
            BadInput::new(Inputs::report, problem)
        })?;
        check_image(&scanned.report, &patch.image)?;
        let suppressed = suppressed(&scanned.report);
        Ok(Some(Self {
            scanned,
            suppressed,
            is_own_scan: false,
        }))
    }

    /// A scan of the image, with this run's database.
    ///
    /// # Errors
    /// When it can't be scanned.
    pub(crate) async fn scan(
        patch: &ImagePatch<'_, '_>,
        suppressed: BTreeSet<(String, String)>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            scanned: patch.scan().await?,
            suppressed,
            is_own_scan: true,
        })
    }

    pub(crate) fn report(&self) -> &Report {
        &self.scanned.report
    }
}

// What a file that begins with `start` is.
fn instead_of_a_report(start: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|word| start.contains(word));
    let what = if has(&["\"runs\"", "sarif"]) {
        "is a SARIF file, which does not list the installed packages"
    } else if has(&["\"bomFormat\"", "\"spdxVersion\""]) {
        "is an SBOM"
    } else {
        "is not a JSON report of Trivy"
    };
    format!(
        "{what}; use the report that Trivy writes with `--format json`, and `trivy-scan` as its output `report-file`, or leave the input empty"
    )
}

// Copa would accept the report of another image, and install the packages that it names.
fn check_image(report: &Report, image: &ImageInfo) -> Result<(), BadInput> {
    let bad = |problem: String| {
        Err(BadInput::new(
            Inputs::report,
            format!("{problem}; scan this image again, or leave the input empty"),
        ))
    };
    if report.artifact_type != "container_image" {
        return bad(format!(
            "is of a `{}`, not of an image",
            report.artifact_type
        ));
    }
    if report.metadata.diff_ids != image.diff_ids {
        return bad(format!(
            "is of `{}`, whose layers differ from the image's",
            report.artifact_name
        ));
    }
    let architecture = report.metadata.image_config["architecture"]
        .as_str()
        .unwrap_or_default();
    if !architecture.is_empty() && architecture != image.architecture {
        return bad(format!(
            "is for {architecture}, but the image is for {}",
            image.architecture
        ));
    }
    Ok(())
}

// An image without a distribution has the packages of its applications alone; in another one, a report without those of the
// distribution was limited to applications (`--pkg-types library`).
fn lists_packages(report: &Report) -> bool {
    let has_system = report.metadata.os.is_some();
    let mut results = report.results.iter();
    results.any(|result| !result.packages.is_empty() && (!has_system || result.class == "os-pkgs"))
}

fn suppressed(report: &Report) -> BTreeSet<(String, String)> {
    let modified = report.results.iter().flat_map(|result| &result.modified);
    modified
        .filter_map(|modified| {
            let text = |name: &str| modified.finding[name].as_str().map(ToOwned::to_owned);
            Some((text("PkgName")?, text("VulnerabilityID")?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::plan::tests::{image, report};

    #[test]
    fn a_report_of_another_image_is_rejected() {
        type Change = fn(&mut Report);
        let check = |change: fn(&mut Report)| {
            let mut changed = report(&[]);
            change(&mut changed);
            check_image(&changed, &image()).map_err(|e| e.to_string())
        };
        assert_eq!(check(|_| {}), Ok(()));
        let hint = "; scan this image again, or leave the input empty";
        let table: [(Change, &str); 4] = [
            (
                |r| r.metadata.diff_ids = vec!["sha256:b".into()],
                "is of `app:1`, whose layers differ from the image's",
            ),
            (
                |r| r.metadata.diff_ids.clear(),
                "is of `app:1`, whose layers differ from the image's",
            ),
            (
                |r| r.metadata.image_config = serde_json::json!({"architecture": "arm64"}),
                "is for arm64, but the image is for amd64",
            ),
            (
                |r| r.artifact_type = "filesystem".into(),
                "is of a `filesystem`, not of an image",
            ),
        ];
        for (change, problem) in table {
            assert_eq!(
                check(change),
                Err(format!("input `report`: {problem}{hint}"))
            );
        }
    }

    #[test]
    fn another_format_is_named() {
        for (start, what) in [
            (
                "{\"$schema\": \"https://json.schemastore.org/sarif-2.1.0.json\"",
                "is a SARIF file",
            ),
            ("{\"version\": \"2.1.0\", \"runs\": []}", "is a SARIF file"),
            ("{\"bomFormat\": \"CycloneDX\"", "is an SBOM"),
            ("{\"spdxVersion\": \"SPDX-2.3\"", "is an SBOM"),
            ("Report Summary", "is not a JSON report of Trivy"),
        ] {
            let message = instead_of_a_report(start);
            assert!(message.starts_with(what), "{start}: {message}");
        }
    }

    #[test]
    fn a_finding_does_not_list_its_package() {
        let mut report = report(&[("openssl", "1", "2")]);
        assert!(lists_packages(&report));
        // Of an application alone.
        let mut application = report.clone();
        application.results[0].class = "lang-pkgs".into();
        assert!(!lists_packages(&application));
        application.metadata.os = None;
        assert!(lists_packages(&application));
        report.results[0].packages.clear();
        assert!(!lists_packages(&report));
        report.results.extend(application.results);
        assert!(!lists_packages(&report));
        report.results.clear();
        assert!(!lists_packages(&report));
    }

    #[test]
    fn what_the_report_suppresses_stays_suppressed() {
        let mut report = report(&[]);
        report.results[0].modified = vec![trivy::report::Modified {
            finding: serde_json::json!({"PkgName": "perl", "VulnerabilityID": "CVE-1"}),
            ..Default::default()
        }];
        let known = [("perl".to_owned(), "CVE-1".to_owned())].into();
        assert_eq!(suppressed(&report), known);
    }
}
