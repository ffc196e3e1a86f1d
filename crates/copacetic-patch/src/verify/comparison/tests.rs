use super::*;
use crate::patch::plan::tests::{image, report};

type Packages<'a> = &'a [(&'a str, &'a str, &'a str)];

/// The comparison of two reports that [`report`] makes.
pub(crate) fn comparison(before: Packages, after: Packages) -> Comparison {
    let before = report(before);
    let plan = Plan::new(&before, &image(), false).unwrap();
    let skipped = [("perl".to_owned(), "it is held back".to_owned())].into();
    let suppressed = [("bash".to_owned(), "CVE-bash".to_owned())].into();
    Comparison::new(&before, &report(after), &plan, &skipped, &suppressed)
}

#[test]
fn what_was_fixed_what_remains_and_why() {
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
    let result = comparison(&before, &after);
    let fixed: Vec<_> = result.fixed.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(fixed, ["CVE-openssl"]);
    let remaining: Vec<_> = result
        .remaining
        .iter()
        .map(|r| (r.finding.package.as_str(), r.reason.as_str(), r.planned))
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
        result.updated,
        [Updated {
            package: "openssl".into(),
            from: "1".into(),
            to: "2".into(),
            purl: "pkg:deb/debian/openssl@2?arch=amd64".into(),
        }]
    );
    assert_eq!(result.by_severity(), [(Severity::High, 4, 3)]);
    assert_eq!(
        (result.before().to_string(), result.after().to_string()),
        (
            "critical=0,high=4,medium=0,low=0,unknown=0".to_owned(),
            "critical=0,high=3,medium=0,low=0,unknown=0".to_owned()
        )
    );
    assert!(result.is_partial() && result.is_of_one_database());
    assert_eq!(result.objection(), None);
}

#[test]
fn a_finding_that_went_without_its_package_is_not_fixed() {
    let result = comparison(&[("openssl", "1", "2")], &[("openssl", "1", "-")]);
    assert_eq!((result.fixed.len(), result.forgotten.len()), (0, 1));
    assert!(!result.is_of_one_database());
    let result = comparison(&[("openssl", "1", "-")], &[("openssl", "1", "2")]);
    assert!(!result.is_of_one_database());
}

#[test]
fn a_finding_about_a_package_that_is_not_installed_does_not_count() {
    let mut before = report(&[("openssl", "1", "2"), ("curl", "1", "2")]);
    before.results[0].packages.pop();
    let plan = Plan::new(&before, &image(), false).unwrap();
    let after = report(&[("openssl", "2", "-")]);
    let none = (BTreeMap::new(), BTreeSet::new());
    let result = Comparison::new(&before, &after, &plan, &none.0, &none.1);
    let fixed: Vec<_> = result.fixed.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(fixed, ["CVE-openssl"]);
}

#[test]
fn objections_to_a_patch() {
    let before = [("openssl", "1", "2"), ("tar", "1", "-")];
    let table: [(Packages, &str); 4] = [
        (
            &[("openssl", "2", "-"), ("tar", "1", "-"), ("curl", "1", "-")],
            "the patch installed new packages: curl",
        ),
        (&[("openssl", "2", "-")], "the patch removed packages: tar"),
        (
            &[("openssl", "2", "-"), ("tar", "1", "2")],
            "the patched image has new findings: CVE-tar in tar",
        ),
        (&before, "the patch fixed no findings"),
    ];
    for (after, objection) in table {
        assert_eq!(
            comparison(&before, after).objection().as_deref(),
            Some(objection)
        );
    }
}

#[test]
fn a_report_of_a_part_of_the_findings_is_known_by_what_it_lacks() {
    let filter = |severity: &str, fixed: &str| {
        let mut before = report(&[("openssl", "1", "2"), ("tar", "1", "-")]);
        before.results[0].vulnerabilities[0].severity = Severity::Critical;
        let plan = Plan::new(&before, &image(), false).unwrap();
        let mut after = report(&[("openssl", "2", "-"), ("tar", "1", fixed)]);
        after.results[0].vulnerabilities[0].severity = severity.parse().unwrap();
        let none = (BTreeMap::new(), BTreeSet::new());
        let result = Comparison::new(&before, &after, &plan, &none.0, &none.1);
        let remaining = result.remaining[0].reason.clone();
        (result.filter.map(|filter| filter.to_string()), remaining)
    };
    let (severity, reason) = filter("HIGH", "2");
    insta::assert_snapshot!(severity.unwrap(), @"only findings of severity critical, as one made with `--severity`");
    assert_eq!(reason, NOT_REPORTED);
    let (unfixed, reason) = filter("CRITICAL", "");
    insta::assert_snapshot!(unfixed.unwrap(), @"only findings that have a fixed version, as one made with `--ignore-unfixed`");
    assert_eq!(reason, "there is no fixed version yet");
    // Of another database, for all that is known.
    assert_eq!(filter("CRITICAL", "2"), (None, NOT_REPORTED.to_owned()));
}

#[test]
fn what_is_suppressed_does_not_remain() {
    let report = report(&[("bash", "1", ""), ("tar", "1", "")]);
    let suppressed = [("bash".to_owned(), "CVE-bash".to_owned())].into();
    let rows = remaining(&report, &suppressed);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        findings(&report, &suppressed),
        rows.iter().map(|_| Severity::High).collect()
    );
}

#[test]
fn the_distributions_statement_on_a_finding() {
    let of = |status: &str| {
        let v = Vulnerability {
            status: status.into(),
            ..Default::default()
        };
        reason(&v, true, &BTreeMap::new())
    };
    assert_eq!(of("will_not_fix"), "the distribution will not fix it");
    assert_eq!(of("affected"), "there is no fixed version yet");
    // lodash of an application.
    let library = |fixed: &str| {
        let v = Vulnerability {
            fixed_version: fixed.into(),
            package_path: "app/node_modules/lodash/package.json".into(),
            ..Default::default()
        };
        reason(&v, false, &BTreeMap::new())
    };
    assert_eq!(library(""), "there is no fixed version yet");
    assert_eq!(
        library("4.17.21"),
        "4.17.21 fixes it, but only packages of the distribution and of Python can be patched; rebuild the image with it"
    );
}
