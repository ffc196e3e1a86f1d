#![allow(clippy::unwrap_used)] // in a test, a panic is the report

use std::sync::Arc;

use findings::{Location, Rule, Subject, Suppression};
use trivy::Severity;

use super::*;

fn suppressed(id: &str) -> Finding {
    Finding {
        rule: Arc::new(Rule {
            id: id.into(),
            ..Rule::default()
        }),
        severity: Severity::Low,
        message: String::new(),
        subject: Subject::Secret,
        location: Location::new("a", 1, 1),
        fingerprint: String::new(),
        suppressed: Some(Suppression {
            reason: String::new(),
            source: ".trivyignore".into(),
            status: "ignored".into(),
        }),
    }
}

fn remarks(entries: Vec<Entry>) -> Vec<String> {
    let file = IgnoreFile {
        path: PathBuf::new(),
        name: ".trivyignore".into(),
        entries,
    };
    let today = "2026-11-23".parse().unwrap();
    file.remarks(&[&suppressed("CVE-2026-1")], true, today)
}

#[test]
fn what_trivy_passes_over_in_silence_is_said() {
    let text = "# it is not reachable\nCVE-2026-1 exp:2026-11-30\n\nCVE-2026-2 exp:2026-01-01\nCVE-2026-3 # why\n";
    assert_eq!(
        remarks(lines(text).unwrap()),
        [
            "`.trivyignore`: the entry for CVE-2026-1 expires in 7 days",
            "`.trivyignore`: the entry for CVE-2026-2 expired on 2026-01-01 and counts no more: renew it or take it out",
            "`.trivyignore`: the entry for CVE-2026-3 took out nothing: take it out of the file if it is not for another scan",
        ]
    );
    assert_eq!(
        remarks(lines("CVE-2026-1\n").unwrap()),
        [
            "`.trivyignore`: the entry for CVE-2026-1 does not say why: write a `statement`, or a comment above it"
        ]
    );
}

#[test]
fn of_a_check_nobody_knows_whether_it_was_of_use() {
    let yaml = "misconfigurations:\n  - id: KSV-0013\n    statement: why\n  - id: KSV-0014\n";
    let silent = [
        "`.trivyignore`: the entry for KSV-0014 does not say why: write a `statement`, or a comment above it",
    ];
    assert_eq!(remarks(document(yaml).unwrap()), silent);
    assert_eq!(
        remarks(lines("KSV-0013 # why\n\nKSV-0014\n").unwrap()),
        silent
    );
    let file = IgnoreFile {
        path: PathBuf::new(),
        name: ".trivyignore".into(),
        entries: lines("KSV-0013 # why\n").unwrap(),
    };
    let without_such_a_scan = file.remarks(&[], false, "2026-11-23".parse().unwrap());
    assert!(without_such_a_scan[0].contains("took out nothing"));
}

#[test]
fn a_yaml_file_is_read_whole() {
    let text = "vulnerabilities:\n  - id: CVE-2026-1\n    purls: [\"pkg:deb/debian/perl\"]\n    statement: not reachable\n    expired_at: 2027-01-01\n";
    let entries = document(text).unwrap();
    assert_eq!(entries[0].expires, Some("2027-01-01".parse().unwrap()));
    assert_eq!(remarks(entries), Vec::<String>::new());
    assert_eq!(document("\n").unwrap(), Vec::new());
}

#[test]
fn a_malformed_file_is_bad_input() {
    let table = [
        (
            lines("CVE-2026-1 until:2027-01-01"),
            "line 1: `until:2027-01-01` is neither",
        ),
        (lines("a\nCVE-2026-1 exp:soon"), "line 2: `soon` is no date"),
        (
            document("vulnerabilites:\n  - id: CVE-1\n"),
            "vulnerabilites",
        ),
        (document("vulnerabilities:\n  - CVE-1\n"), ""),
        (
            document("vulnerabilities:\n  - id: a\n    expired_at: soon\n"),
            "`soon` is no date",
        ),
    ];
    for (read, part) in table {
        let error = read.unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
