//! What the patch did: two reports and two configurations side by side.

use std::collections::{BTreeMap, BTreeSet};

use container::ImageInfo;
use trivy::{Report, Severity};

use crate::plan::Plan;

/// A finding, by what it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) package: String,
}

/// A finding that is still there, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub(crate) known: Known,
    pub(crate) severity: Severity,
    pub(crate) why: &'static str,
}

/// A package that has another version now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Updated {
    pub(crate) package: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// The difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) fixed: BTreeSet<Known>,
    pub(crate) remaining: Vec<Remaining>,
    pub(crate) updated: Vec<Updated>,
    /// Packages that were not there before.
    pub(crate) added: Vec<String>,
    /// Findings that were not there before.
    pub(crate) new: BTreeSet<Known>,
}

fn findings(report: &Report) -> BTreeMap<Known, (Severity, bool)> {
    let results = report
        .results
        .iter()
        .flat_map(|result| &result.vulnerabilities);
    results
        .map(|v| {
            (
                Known {
                    id: v.id.clone(),
                    package: v.package.clone(),
                },
                (v.severity, v.fixed_version.is_empty()),
            )
        })
        .collect()
}

// The whole version stands in the id, `name@version`.
fn packages(report: &Report) -> BTreeMap<&str, &str> {
    let results = report
        .results
        .iter()
        .filter(|result| result.class == "os-pkgs");
    results
        .flat_map(|result| &result.packages)
        .map(|p| {
            (
                p.name.as_str(),
                p.id.split_once('@').map_or(p.version.as_str(), |(_, v)| v),
            )
        })
        .collect()
}

impl Difference {
    /// Compare the reports before and after `plan`.
    pub(crate) fn of(before: &Report, after: &Report, plan: &Plan) -> Self {
        let (was, is) = (findings(before), findings(after));
        let planned: BTreeSet<_> = plan.packages().collect();
        let why = |known: &Known, without_fix: bool| {
            if without_fix {
                "there is no fixed version yet"
            } else if planned.contains(known.package.as_str()) {
                "the update is not in the archive yet, or is held back"
            } else {
                "it is no package of the distribution"
            }
        };
        let (old, new) = (packages(before), packages(after));
        Self {
            fixed: was
                .keys()
                .filter(|known| !is.contains_key(known))
                .cloned()
                .collect(),
            remaining: is
                .iter()
                .map(|(known, (severity, open))| Remaining {
                    known: known.clone(),
                    severity: *severity,
                    why: why(known, *open),
                })
                .collect(),
            updated: new
                .iter()
                .filter_map(|(name, to)| Some((name, old.get(name)?, to)))
                .filter(|(_, from, to)| from != to)
                .map(|(name, from, to)| Updated {
                    package: (*name).to_owned(),
                    from: (*from).to_owned(),
                    to: (*to).to_owned(),
                })
                .collect(),
            added: new
                .keys()
                .filter(|name| !old.contains_key(*name))
                .map(ToString::to_string)
                .collect(),
            new: is
                .keys()
                .filter(|known| !was.contains_key(known))
                .cloned()
                .collect(),
        }
    }

    /// The planned findings that are still there.
    pub(crate) fn unmended(&self) -> usize {
        self.remaining
            .iter()
            .filter(|remaining| remaining.why.starts_with("the update"))
            .count()
    }

    /// What speaks against the patched image, if something does.
    pub(crate) fn objection(&self) -> Option<String> {
        if !self.added.is_empty() {
            return Some(format!(
                "the patch installed packages that were not there: {}",
                self.added.join(", ")
            ));
        }
        if self.fixed.is_empty() {
            return Some("the patched image has every finding that the image had".into());
        }
        None
    }
}

/// What of the image's behaviour the patch changed, if it changed something.
pub(crate) fn changed_configuration(before: &ImageInfo, after: &ImageInfo) -> Option<String> {
    let (was, is) = (&before.config, &after.config);
    let fields = [
        ("USER", was.user == is.user),
        ("ENTRYPOINT", was.entrypoint == is.entrypoint),
        ("CMD", was.cmd == is.cmd),
        ("ENV", was.env == is.env),
        ("WORKDIR", was.working_dir == is.working_dir),
        ("EXPOSE", was.exposed_ports == is.exposed_ports),
        ("HEALTHCHECK", was.healthcheck == is.healthcheck),
        ("STOPSIGNAL", was.stop_signal == is.stop_signal),
        // Copa notes the image it patched in a label of its own.
        (
            "LABEL",
            was.labels
                .iter()
                .all(|(name, value)| is.labels.get(name) == Some(value)),
        ),
    ];
    let changed: Vec<_> = fields
        .iter()
        .filter(|(_, same)| !same)
        .map(|(name, _)| *name)
        .collect();
    (!changed.is_empty()).then(|| changed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::report;

    fn difference(before: &[(&str, &str, &str)], after: &[(&str, &str, &str)]) -> Difference {
        let before = report(before);
        let image = ImageInfo::default();
        let plan = Plan::of(&before, &image).unwrap();
        Difference::of(&before, &report(after), &plan)
    }

    #[test]
    fn what_was_mended_what_remains_and_why() {
        let before = [
            ("openssl", "1", "2"),
            ("zlib1g", "1", ""),
            ("perl", "1", "2"),
            ("bash", "1", "-"),
        ];
        let after = [
            ("openssl", "2", "-"),
            ("zlib1g", "1", ""),
            ("perl", "1", "2"),
            ("bash", "1", "-"),
        ];
        let found = difference(&before, &after);
        assert_eq!(
            found
                .fixed
                .iter()
                .map(|k| k.package.as_str())
                .collect::<Vec<_>>(),
            ["openssl"]
        );
        let remaining: Vec<_> = found
            .remaining
            .iter()
            .map(|r| (r.known.package.as_str(), r.why))
            .collect();
        assert_eq!(
            remaining,
            [
                (
                    "perl",
                    "the update is not in the archive yet, or is held back"
                ),
                ("zlib1g", "there is no fixed version yet")
            ]
        );
        assert_eq!(
            found.updated,
            [Updated {
                package: "openssl".into(),
                from: "1".into(),
                to: "2".into()
            }]
        );
        assert_eq!((found.unmended(), found.objection()), (1, None));
    }

    #[test]
    fn a_new_package_or_no_effect_speaks_against_it() {
        let before = [("openssl", "1", "2")];
        let added = difference(&before, &[("openssl", "2", "-"), ("curl", "1", "-")]);
        assert_eq!(
            added.objection().unwrap(),
            "the patch installed packages that were not there: curl"
        );
        let none = difference(&before, &before);
        assert_eq!(
            none.objection().unwrap(),
            "the patched image has every finding that the image had"
        );
    }

    #[test]
    fn a_patch_may_not_change_how_the_image_runs() {
        let before = ImageInfo::default();
        let mut after = ImageInfo::default();
        after.config.labels.insert("BaseImage".into(), "x".into());
        assert_eq!(changed_configuration(&before, &after), None);
        after.config.user = "0".into();
        assert_eq!(changed_configuration(&before, &after).unwrap(), "USER");
    }
}
