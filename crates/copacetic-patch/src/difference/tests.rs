use super::*;
use crate::plan::tests::{image, report};

type Packages<'a> = &'a [(&'a str, &'a str, &'a str)];

/// The difference of two reports that [`report`] makes.
pub(crate) fn difference(before: Packages, after: Packages) -> Difference {
    let before = report(before);
    let plan = Plan::of(&before, &image(), false).unwrap();
    let left_out = [("perl".to_owned(), "it is held back".to_owned())].into();
    let suppressed = [("bash".to_owned(), "CVE-bash".to_owned())].into();
    Difference::of(&before, &report(after), &plan, &left_out, &suppressed)
}

#[test]
fn what_was_mended_what_remains_and_why() {
    let before = [
        ("bash", "1", "2"),
        ("openssl", "1", "2"),
        ("perl", "1", "2"),
        ("tar", "1", "2"),
        ("zlib1g", "1", ""),
    ];
    let after = [
        ("bash", "1", "2"),
        ("openssl", "2", "-"),
        ("perl", "1", "2"),
        ("tar", "1", "2"),
        ("zlib1g", "1", ""),
    ];
    let found = difference(&before, &after);
    let fixed: Vec<_> = found.fixed.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(fixed, ["CVE-openssl"]);
    let remaining: Vec<_> = found
        .remaining
        .iter()
        .map(|r| (r.finding.package.as_str(), r.why.as_str(), r.planned))
        .collect();
    assert_eq!(
        remaining,
        [
            ("perl", "it is held back", true),
            ("tar", "the update is held back or not in the archive", true),
            ("zlib1g", "there is no fixed version yet", false),
        ]
    );
    assert_eq!(
        found.updated,
        [Updated {
            package: "openssl".into(),
            from: "1".into(),
            to: "2".into(),
            purl: "pkg:deb/debian/openssl@2?arch=amd64".into(),
        }]
    );
    assert_eq!(found.by_severity(), [(Severity::High, 4, 3)]);
    assert_eq!(
        (found.before().to_string(), found.after().to_string()),
        (
            "critical=0,high=4,medium=0,low=0,unknown=0".to_owned(),
            "critical=0,high=3,medium=0,low=0,unknown=0".to_owned()
        )
    );
    assert!(found.is_partial() && found.is_of_one_database());
    assert_eq!(found.objection(), None);
}

#[test]
fn a_finding_that_went_without_its_package_is_not_mended() {
    let found = difference(&[("openssl", "1", "2")], &[("openssl", "1", "-")]);
    assert_eq!((found.fixed.len(), found.forgotten.len()), (0, 1));
    assert!(!found.is_of_one_database());
    let found = difference(&[("openssl", "1", "-")], &[("openssl", "1", "2")]);
    assert!(!found.is_of_one_database());
}

#[test]
fn a_finding_about_nothing_that_is_installed_does_not_count() {
    let mut before = report(&[("openssl", "1", "2"), ("curl", "1", "2")]);
    before.results[0].packages.pop();
    let plan = Plan::of(&before, &image(), false).unwrap();
    let after = report(&[("openssl", "2", "-")]);
    let none = (BTreeMap::new(), BTreeSet::new());
    let found = Difference::of(&before, &after, &plan, &none.0, &none.1);
    let fixed: Vec<_> = found.fixed.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(fixed, ["CVE-openssl"]);
}

#[test]
fn what_speaks_against_a_patch() {
    let before = [("openssl", "1", "2"), ("tar", "1", "-")];
    let table: [(Packages, &str); 4] = [
        (
            &[("openssl", "2", "-"), ("tar", "1", "-"), ("curl", "1", "-")],
            "the patch installed packages that were not there: curl",
        ),
        (&[("openssl", "2", "-")], "the patch removed packages: tar"),
        (
            &[("openssl", "2", "-"), ("tar", "1", "2")],
            "the patched image has new findings: CVE-tar in tar",
        ),
        (
            &before,
            "the patched image has every finding that the image had",
        ),
    ];
    for (after, objection) in table {
        assert_eq!(
            difference(&before, after).objection().as_deref(),
            Some(objection)
        );
    }
}

#[test]
fn the_distributions_word_on_a_finding() {
    let says = |status: &str| {
        let v = Vulnerability {
            status: status.into(),
            ..Default::default()
        };
        why(&v, true, &BTreeMap::new())
    };
    assert_eq!(says("will_not_fix"), "the distribution will not fix it");
    assert_eq!(says("affected"), "there is no fixed version yet");
    let v = Vulnerability::default();
    assert_eq!(
        why(&v, false, &BTreeMap::new()),
        "it is in no package of the distribution"
    );
}
