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
        former_fingerprint: None,
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
        others: Vec::new(),
    };
    let today = "2026-11-23".parse().unwrap();
    file.remarks(&[&suppressed("CVE-2026-1")], true, today)
}

#[test]
fn what_trivy_skips_silently_is_reported() {
    let text = "# it is not reachable\nCVE-2026-1 exp:2026-11-30\n\nCVE-2026-2 exp:2026-11-23\nCVE-2026-3 # why\n";
    assert_eq!(
        remarks(parse_lines(text).unwrap()),
        [
            "`.trivyignore`: the entry for CVE-2026-1 expires in 7 days",
            "`.trivyignore`: the entry for CVE-2026-2 expired on 2026-11-23 and has no effect; renew or remove it",
            "`.trivyignore`: the entry for CVE-2026-3 suppresses nothing; remove it unless another scan needs it",
        ]
    );
    assert_eq!(
        remarks(parse_lines("CVE-2026-1 exp:2026-11-24 # why\n").unwrap()),
        ["`.trivyignore`: the entry for CVE-2026-1 expires in 1 day"]
    );
    assert_eq!(
        remarks(parse_lines("CVE-2026-1\n").unwrap()),
        [
            "`.trivyignore`: the entry for CVE-2026-1 has no reason; add a `statement`, or a comment above it"
        ]
    );
}

#[test]
fn whether_an_entry_for_a_check_is_used_is_unknown() {
    let yaml = "misconfigurations:\n  - id: KSV-0013\n    statement: why\n  - id: KSV-0014\n";
    let only_reason = [
        "`.trivyignore`: the entry for KSV-0014 has no reason; add a `statement`, or a comment above it",
    ];
    assert_eq!(remarks(parse_yaml(yaml).unwrap()), only_reason);
    assert_eq!(
        remarks(parse_lines("KSV-0013 # why\n\nKSV-0014\n").unwrap()),
        only_reason
    );
    let file = IgnoreFile {
        path: PathBuf::new(),
        name: ".trivyignore".into(),
        entries: parse_lines("KSV-0013 # why\n").unwrap(),
        others: vec![".trivyignore.yml"],
    };
    let without_such_a_scan = file.remarks(&[], false, "2026-11-23".parse().unwrap());
    assert!(without_such_a_scan[1].contains("suppresses nothing"));
    assert_eq!(
        without_such_a_scan[0],
        "`.trivyignore.yml` is not used, since `.trivyignore` is: put all entries into one file"
    );
}

/// The file that a workspace with these files has.
fn opened(files: &[(&str, &str)], input: Option<&str>) -> IgnoreFile {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let workspace = Workspace::new(directory.path());
    IgnoreFile::open(&workspace, input).unwrap().unwrap()
}

#[test]
fn a_second_file_is_reported_and_not_read() {
    let lines = (".trivyignore", "CVE-2026-1 # why\n");
    let yaml = (".trivyignore.yml", "vulnerabilities: [{id: CVE-2026-2}]\n");
    let ids = |file: &IgnoreFile| -> Vec<_> {
        let entries = file.entries.iter();
        entries.map(|entry| entry.id.clone()).collect()
    };
    let file = opened(&[lines, yaml], None);
    assert_eq!(ids(&file), ["CVE-2026-1"]);
    let today = "2026-11-23".parse().unwrap();
    assert_eq!(
        file.remarks(&[&suppressed("CVE-2026-1")], false, today),
        ["`.trivyignore.yml` is not used, since `.trivyignore` is: put all entries into one file"]
    );
    // The one that the input names is the one that is read.
    let file = opened(&[lines, yaml], Some(".trivyignore.yml"));
    assert_eq!(ids(&file), ["CVE-2026-2"]);
    assert_eq!(file.others, [".trivyignore"]);
}

#[test]
fn a_file_that_ends_in_yml_is_read() {
    let yaml = (".trivyignore.yml", "vulnerabilities: [{id: CVE-2026-2}]\n");
    let file = opened(&[yaml], None);
    assert_eq!(file.name, ".trivyignore.yml");
    assert!(file.path.ends_with(".trivyignore.yml"));
    assert_eq!(file.entries[0].id, "CVE-2026-2");
    assert_eq!(file.others, Vec::<&str>::new());
}

#[test]
fn a_yaml_file_is_parsed() {
    let text = "vulnerabilities:\n  - id: CVE-2026-1\n    purls: [\"pkg:deb/debian/perl\"]\n    statement: not reachable\n    expired_at: 2027-01-01\n";
    let entries = parse_yaml(text).unwrap();
    assert_eq!(entries[0].expires, Some("2027-01-01".parse().unwrap()));
    assert_eq!(remarks(entries), Vec::<String>::new());
    assert_eq!(parse_yaml("\n").unwrap(), Vec::new());
}

#[test]
fn a_malformed_file_is_bad_input() {
    let table = [
        (
            parse_lines("CVE-2026-1 until:2027-01-01"),
            "line 1: `until:2027-01-01` is not",
        ),
        (
            parse_lines("a\nCVE-2026-1 exp:soon"),
            "line 2: invalid date `soon`",
        ),
        (
            parse_yaml("vulnerabilites:\n  - id: CVE-1\n"),
            "vulnerabilites",
        ),
        (parse_yaml("vulnerabilities:\n  - CVE-1\n"), ""),
        (
            parse_yaml("vulnerabilities:\n  - id: a\n    expired_at: soon\n"),
            "invalid date `soon`",
        ),
    ];
    for (result, part) in table {
        let error = result.unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
