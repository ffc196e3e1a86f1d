//! What is known of the image before it is patched.

use std::collections::BTreeSet;

use actions_toolkit::BadInput;
use anyhow::Context as _;
use docker::ImageInfo;
use trivy::{Report, Scanned};

use crate::job::Job;

/// A report of the image.
#[derive(Clone)]
pub(crate) struct Before {
    pub(crate) scanned: Scanned,
    /// Findings that the given report took out, by package and id: they are not counted later either.
    pub(crate) suppressed: BTreeSet<(String, String)>,
    /// Whether this run made it: only then it is certain that both scans had the same database.
    pub(crate) ours: bool,
}

impl Before {
    /// The given report, if it is one of this image; else a scan.
    ///
    /// # Errors
    /// [`BadInput`] for what is no report of this image; anything else when it can't be scanned.
    pub(crate) async fn of(job: &Job<'_, '_>) -> anyhow::Result<Self> {
        let Some(given) = Self::given(job)? else {
            return Self::scan(job, BTreeSet::new()).await;
        };
        // Which packages are installed is known only from a list: a finding alone may be about one that
        // Copa would then install.
        if !lists_packages(given.report()) {
            job.session.ctx.log().notice(
                "the report does not list the installed packages (`--list-all-pkgs`): scanning again",
            );
            return Self::scan(job, given.suppressed).await;
        }
        Ok(given)
    }

    /// The given report, if there is one.
    ///
    /// # Errors
    /// [`BadInput`] for what is no report of this image.
    pub(crate) fn given(job: &Job<'_, '_>) -> anyhow::Result<Option<Self>> {
        let Some(path) = &job.session.request.report else {
            return Ok(None);
        };
        let raw =
            std::fs::read(path).with_context(|| format!("while reading `{}`", path.display()))?;
        let scanned = Scanned::parse(raw).map_err(|e| {
            BadInput::new(
                "report",
                format!("`{}`: {e}", job.session.request.relative(path)),
            )
        })?;
        bind(&scanned.report, &job.image)?;
        let suppressed = suppressed(&scanned.report);
        Ok(Some(Self {
            scanned,
            suppressed,
            ours: false,
        }))
    }

    /// A scan of the image, with this run's database.
    ///
    /// # Errors
    /// When it can't be scanned.
    pub(crate) async fn scan(
        job: &Job<'_, '_>,
        suppressed: BTreeSet<(String, String)>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            scanned: job.scan().await?,
            suppressed,
            ours: true,
        })
    }

    /// The report.
    pub(crate) fn report(&self) -> &Report {
        &self.scanned.report
    }
}

// Refuse a report of another image: Copa would not, and would install what it names.
fn bind(report: &Report, image: &ImageInfo) -> Result<(), BadInput> {
    let refuse = |problem: String| {
        Err(BadInput::new(
            "report",
            format!("{problem}; scan this image again, or leave the input empty"),
        ))
    };
    if report.artifact_type != "container_image" {
        return refuse(format!(
            "it is the report of a `{}`, not of an image",
            report.artifact_type
        ));
    }
    if report.metadata.diff_ids != image.diff_ids {
        return refuse(format!(
            "it is the report of `{}` with other layers than the image has",
            report.artifact_name
        ));
    }
    let architecture = report.metadata.image_config["architecture"]
        .as_str()
        .unwrap_or_default();
    if !architecture.is_empty() && architecture != image.architecture {
        return refuse(format!(
            "it is for {architecture}, and the image for {}",
            image.architecture
        ));
    }
    Ok(())
}

fn lists_packages(report: &Report) -> bool {
    let mut systems = report.results.iter().filter(|r| r.class == "os-pkgs");
    systems.any(|result| !result.packages.is_empty())
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
    use crate::plan::tests::{image, report};

    #[test]
    fn a_report_of_another_image_is_refused() {
        type Change = fn(&mut Report);
        let was = |change: fn(&mut Report)| {
            let mut given = report(&[]);
            change(&mut given);
            bind(&given, &image()).map_err(|e| e.to_string())
        };
        assert_eq!(was(|_| {}), Ok(()));
        let cure = "; scan this image again, or leave the input empty";
        let table: [(Change, &str); 4] = [
            (
                |r| r.metadata.diff_ids = vec!["sha256:b".into()],
                "it is the report of `app:1` with other layers than the image has",
            ),
            (
                |r| r.metadata.diff_ids.clear(),
                "it is the report of `app:1` with other layers than the image has",
            ),
            (
                |r| r.metadata.image_config = serde_json::json!({"architecture": "arm64"}),
                "it is for arm64, and the image for amd64",
            ),
            (
                |r| r.artifact_type = "filesystem".into(),
                "it is the report of a `filesystem`, not of an image",
            ),
        ];
        for (change, problem) in table {
            assert_eq!(was(change), Err(format!("input `report`: {problem}{cure}")));
        }
    }

    #[test]
    fn a_finding_is_no_list_of_packages() {
        let mut given = report(&[("openssl", "1", "2")]);
        assert!(lists_packages(&given));
        given.results[0].packages.clear();
        assert!(!lists_packages(&given));
        given.results.clear();
        assert!(!lists_packages(&given));
    }

    #[test]
    fn what_the_report_took_out_is_kept_in_mind() {
        let mut given = report(&[]);
        given.results[0].modified = vec![trivy::report::Modified {
            finding: serde_json::json!({"PkgName": "perl", "VulnerabilityID": "CVE-1"}),
            ..Default::default()
        }];
        let known = [("perl".to_owned(), "CVE-1".to_owned())].into();
        assert_eq!(suppressed(&given), known);
    }
}
