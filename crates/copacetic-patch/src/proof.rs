//! What the patched image is worth.

use std::collections::BTreeMap;

use actions_toolkit::PolicyFailure;
use docker::ImageInfo;
use trivy::Scanned;

use crate::before::Before;
use crate::difference::Difference;
use crate::job::Job;
use crate::pip;
use crate::plan::Plan;
use crate::stage::{Staged, is_lineage};

/// A patched image that holds.
pub(crate) struct Proof {
    pub(crate) difference: Difference,
    /// What the image was held against.
    pub(crate) before: Before,
    /// The scan of the patched image.
    pub(crate) after: Scanned,
}

impl Proof {
    /// Hold the patched image against the image: it runs as before, nothing was added, and it has fewer
    /// findings.
    ///
    /// # Errors
    /// [`PolicyFailure`] when it does not hold; anything else when that can't be found out.
    pub(crate) async fn of(
        job: &Job<'_, '_>,
        mut before: Before,
        plan: &Plan,
        staged: &Staged,
    ) -> anyhow::Result<Self> {
        let session = job.session;
        let image = &staged.image.info;
        let refuse = |objection: String| {
            let untouched = &job.order.patched;
            PolicyFailure(format!("{objection}; `{untouched}` is untouched"))
        };
        if let Some(changed) = changed(&job.image, image) {
            return Err(refuse(format!(
                "the patched image would run in another way: {changed} changed"
            ))
            .into());
        }
        let after = session.scan(&staged.name, &job.order.patched).await?;
        let compare = |before: &Before| {
            Difference::of(
                before.report(),
                &after.report,
                plan,
                &staged.left_out,
                &before.suppressed,
            )
        };
        let mut difference = compare(&before);
        if !difference.is_of_one_database() && !before.ours {
            // The given report knew of other findings than today's database: that is not the patch's
            // doing, and one database for both tells it apart.
            session
                .ctx
                .log()
                .info("the report was made with another database; scanning the image again");
            before = Before::scan(job, before.suppressed).await?;
            difference = compare(&before);
        }
        if let Some(objection) = difference.objection() {
            return Err(refuse(objection).into());
        }
        if let Some(objection) = pip::objection(job, staged, plan).await? {
            return Err(refuse(objection).into());
        }
        Ok(Self {
            difference,
            before,
            after,
        })
    }

    /// Say anew why what remains does: packages of `plan` were left out after all, for the reasons in
    /// `left_out`.
    pub(crate) fn explain(&mut self, plan: &Plan, left_out: &BTreeMap<String, String>) {
        self.difference = Difference::of(
            self.before.report(),
            &self.after.report,
            plan,
            left_out,
            &self.before.suppressed,
        );
    }
}

// What of the image's behaviour the patch changed, if it changed something.
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

// In a configuration they are the keys of a map.
fn sorted(ports: &[String]) -> Vec<&String> {
    let mut ports: Vec<_> = ports.iter().collect();
    ports.sort_unstable();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::image;

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
        for (change, found) in table {
            let mut after = before.clone();
            change(&mut after);
            assert_eq!(changed(&before, &after).as_deref(), found);
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
