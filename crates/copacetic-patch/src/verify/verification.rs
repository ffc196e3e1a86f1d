//! The patched image compared with the original.

use std::collections::BTreeMap;

use actions_toolkit::PolicyFailure;
use docker::ImageInfo;
use trivy::Scanned;

use super::{Comparison, pip_check};
use crate::lineage::is_lineage;
use crate::patch::{PatchedImage, Plan};
use crate::targets::{BaselineReport, ImagePatch};

/// The evidence that a patched image runs as before, has no new packages or findings, and fewer findings.
pub(crate) struct Verification {
    pub(crate) comparison: Comparison,
    /// The report of the original that the patched image was compared with.
    pub(crate) baseline: BaselineReport,
    /// The scan of the patched image.
    pub(crate) after: Scanned,
}

impl Verification {
    /// Verify the patched image.
    ///
    /// # Errors
    /// [`PolicyFailure`] when it does not pass; anything else when there is no verdict.
    pub(crate) async fn run(
        patch: &ImagePatch<'_, '_>,
        mut baseline: BaselineReport,
        plan: &Plan,
        patched_image: &PatchedImage,
    ) -> anyhow::Result<Self> {
        let session = patch.session;
        let failure =
            |objection: String| PolicyFailure(format!("{objection}; {}", patch.untouched()));
        if let Some(changed) = changed(&patch.image, &patched_image.image.info) {
            let objection = format!("the patch changed how the image runs: {changed}");
            return Err(failure(objection).into());
        }
        let patched = &patch.target.patched;
        let after = session
            .scan(&patched_image.name, patched, &patch.log)
            .await?;
        let skipped = &patched_image.skipped;
        let mut comparison = compare(&baseline, &after, plan, skipped);
        if !comparison.is_of_one_database() && !baseline.is_own_scan {
            // Findings that came or went without their package are due to another database or a filter. With one
            // database for both, what is left is the patch's doing.
            patch.log.info(match &comparison.filter {
                Some(filter) if comparison.forgotten.is_empty() => format!(
                    "the report has {filter}; scanning the image again for the comparison"
                ),
                _ => "the report was made with another database or a filter; scanning the image again"
                    .to_owned(),
            });
            baseline = BaselineReport::scan(patch, baseline.suppressed).await?;
            comparison = compare(&baseline, &after, plan, skipped);
        }
        if let Some(objection) = comparison.objection() {
            return Err(failure(objection).into());
        }
        if let Some(objection) = pip_check::objection(patch, patched_image, plan).await? {
            return Err(failure(objection).into());
        }
        Ok(Self {
            comparison,
            baseline,
            after,
        })
    }

    /// State again why each finding remains, now that packages of `plan` were `skipped`, each for its reason.
    pub(crate) fn compare_again(&mut self, plan: &Plan, skipped: &BTreeMap<String, String>) {
        self.comparison = compare(&self.baseline, &self.after, plan, skipped);
    }
}

fn compare(
    baseline: &BaselineReport,
    after: &Scanned,
    plan: &Plan,
    skipped: &BTreeMap<String, String>,
) -> Comparison {
    let (before, suppressed) = (baseline.report(), &baseline.suppressed);
    Comparison::new(before, &after.report, plan, skipped, suppressed)
}

// Which settings of the image the patch changed, if any.
fn changed(before: &ImageInfo, after: &ImageInfo) -> Option<String> {
    let (was, is) = (&before.config, &after.config);
    let lost =
        |(name, value): (&String, &String)| !is_lineage(name) && is.labels.get(name) != Some(value);
    let gained = |name: &String| !was.labels.contains_key(name) && !is_lineage(name);
    // Copa replaces the layer of its own earlier patch.
    let patched_before = was.labels.keys().any(|name| is_lineage(name));
    let checks = [
        ("USER", was.user == is.user),
        ("ENTRYPOINT", was.entrypoint == is.entrypoint),
        ("CMD", was.cmd == is.cmd),
        ("ENV", was.env == is.env),
        ("WORKDIR", was.working_dir == is.working_dir),
        (
            "EXPOSE",
            sorted(&was.exposed_ports) == sorted(&is.exposed_ports),
        ),
        ("HEALTHCHECK", was.healthcheck == is.healthcheck),
        ("STOPSIGNAL", was.stop_signal == is.stop_signal),
        (
            "LABEL",
            !was.labels.iter().any(lost) && !is.labels.keys().any(gained),
        ),
        (
            "the platform",
            (&before.os, &before.architecture) == (&after.os, &after.architecture),
        ),
        (
            "a layer",
            patched_before || after.diff_ids.starts_with(&before.diff_ids),
        ),
    ];
    let changed = checks.iter().filter(|(_, same)| !same);
    changed
        .map(|(name, _)| (*name).to_owned())
        .reduce(|all, one| format!("{all}, {one}"))
}

// A configuration has them as the keys of a map: their order means nothing.
fn sorted(ports: &[String]) -> Vec<&String> {
    let mut ports: Vec<_> = ports.iter().collect();
    ports.sort_unstable();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::plan::tests::image;

    #[test]
    fn a_patch_may_not_change_how_the_image_runs() {
        type Change = fn(&mut ImageInfo);
        let mut before = image();
        before.config.labels.insert("team".into(), "web".into());
        let table: [(Change, Option<&str>); 9] = [
            (|_| (), None),
            (|i| i.diff_ids.push("sha256:b".into()), None),
            (
                |i| {
                    i.config.labels.insert("BaseImage".into(), "app:1".into());
                    i.config
                        .labels
                        .insert("sh.copa.patch.origin.name".into(), "app:1".into());
                },
                None,
            ),
            (|i| i.config.user = "0".into(), Some("USER")),
            (|i| i.config.cmd = vec!["sh".into()], Some("CMD")),
            (|i| i.config.labels.clear(), Some("LABEL")),
            (
                |i| drop(i.config.labels.insert("new".into(), String::new())),
                Some("LABEL"),
            ),
            (|i| i.diff_ids = vec!["sha256:b".into()], Some("a layer")),
            (
                |i| {
                    i.architecture = "arm64".into();
                    i.config.env = vec!["A=b".into()];
                },
                Some("ENV, the platform"),
            ),
        ];
        for (change, expected) in table {
            let mut after = before.clone();
            change(&mut after);
            assert_eq!(changed(&before, &after).as_deref(), expected);
        }
    }

    #[test]
    fn the_layer_of_an_earlier_patch_may_go() {
        let mut before = image();
        before.config.labels.insert("BaseImage".into(), "a".into());
        let mut after = before.clone();
        after.diff_ids = vec!["sha256:b".into()];
        assert_eq!(changed(&before, &after), None);
    }
}
