use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use trivy::report::Metadata;

use super::*;
use crate::location::tests::workspace;
use crate::{Finding, SourceFiles, from_report};

#[test]
fn a_package_is_recognized_without_its_version() {
    let table = [
        (
            "pkg:deb/debian/openssl@3.5.7-1?arch=amd64&distro=debian-13",
            "pkg:deb/debian/openssl",
        ),
        ("pkg:pypi/flask@3.1.2", "pkg:pypi/flask"),
        ("pkg:npm/%40angular/core@1", "pkg:npm/%40angular/core"),
        ("", ""),
    ];
    for (purl, expected) in table {
        assert_eq!(without_version(purl), expected);
    }
}

#[test]
fn equal_hashes_are_numbered_within_their_rule() {
    let mut occurrences = Occurrences::default();
    let numbers = [("a", "h"), ("a", "h"), ("b", "h")].map(|(rule, h)| occurrences.number(rule, h));
    assert_eq!(numbers, ["h:1", "h:2", "h:1"]);
}

fn findings(report: Value, source: &SourceFiles) -> Vec<Finding> {
    let report = serde_json::from_value(report).unwrap();
    from_report(report, &Locator::new("app", "", source))
}

fn image(results: &Value) -> Value {
    json!({"SchemaVersion": 2, "ArtifactType": "container_image", "Results": results})
}

fn directory(results: &Value) -> Value {
    json!({"SchemaVersion": 2, "ArtifactType": "filesystem", "Results": results})
}

fn vulnerable(name: &str, version: &str, file: &str) -> Value {
    json!({"VulnerabilityID": "CVE-1", "PkgName": name, "InstalledVersion": version, "PkgPath": file, "Severity": "HIGH",
        "PkgIdentifier": {"PURL": format!("pkg:generic/{name}@{version}")}})
}

fn check(message: &str, resource: &str, line: u32) -> Value {
    json!({"ID": "DS-1", "Title": "t", "Message": message, "Severity": "HIGH", "Status": "FAIL",
        "CauseMetadata": {"Resource": resource, "StartLine": line, "EndLine": line}})
}

fn secret(line: u32, end: u32) -> Value {
    json!({"RuleID": "key", "Title": "Key", "Severity": "HIGH", "StartLine": line, "EndLine": end})
}

/// The only fingerprint of a report.
fn only(report: Value, source: &SourceFiles) -> String {
    let [finding] = <[Finding; 1]>::try_from(findings(report, source)).unwrap();
    finding.fingerprint
}

#[test]
fn an_alert_of_the_last_version_stays_one_where_its_identity_is_the_same() {
    let source = SourceFiles::default();
    // The values are those that are in the Security tab.
    let distribution = json!([{"Target": "app:1 (debian 13)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [vulnerable("openssl", "1", "")]}]);
    assert_eq!(only(image(&distribution), &source), "2c562b75bcac473b:1");
    let locked = json!([{"Target": "web/uv.lock", "Class": "lang-pkgs", "Type": "uv", "Vulnerabilities": [vulnerable("flask", "1", "")]}]);
    assert_eq!(only(directory(&locked), &source), "fb19d587b66f7361:1");
    let unversioned = json!([{"Target": "Node.js", "Class": "lang-pkgs", "Type": "node-pkg", "Vulnerabilities": [vulnerable("x", "1", "app/node_modules/x/package.json")]}]);
    assert_eq!(only(image(&unversioned), &source), "a66d0ca5bb924995:1");
}

#[test]
fn an_update_changes_no_fingerprint() {
    let source = SourceFiles::default();
    let package = |kind: &str, target: &str, name: &str, version: &str, file: &str| {
        let results = json!([{"Target": target, "Class": "lang-pkgs", "Type": kind, "Vulnerabilities": [vulnerable(name, version, file)]}]);
        only(image(&results), &source)
    };
    let site = |python: &str, version: &str| {
        format!("usr/lib/python{python}/site-packages/jinja2-{version}.dist-info/METADATA")
    };
    let python = |python: &str, version: &str| {
        package(
            "python-pkg",
            "Python",
            "Jinja2",
            version,
            &site(python, version),
        )
    };
    assert_eq!(python("3.12", "3.1.2"), python("3.13", "3.1.3"));
    let jar = |war: &str, version: &str| {
        let file = format!("srv/shop-{war}.war/WEB-INF/lib/log4j-core-{version}.jar");
        package("jar", "Java", "org.apache:log4j-core", version, &file)
    };
    assert_eq!(jar("1.0", "2.14.0"), jar("1.1", "2.14.1"));
    let binary = |target: &str, version: &str| package("gobinary", target, "stdlib", version, "");
    assert_eq!(
        binary("opt/app-1.0/app", "1.22"),
        binary("opt/app-1.1/app", "1.23")
    );
    assert_ne!(binary("bin/a", "1.22"), binary("bin/b", "1.22"));
}

#[test]
fn a_binary_keeps_its_fingerprint_when_the_image_has_a_dockerfile() {
    let (_directory, source) = workspace(&[("Dockerfile", "FROM a\n")]);
    let results = json!([
        {"Target": "bin/a", "Class": "lang-pkgs", "Type": "gobinary", "Vulnerabilities": [vulnerable("stdlib", "1.22", "")]},
        {"Target": "bin/b", "Class": "lang-pkgs", "Type": "gobinary", "Vulnerabilities": [vulnerable("stdlib", "1.22", "")]},
    ]);
    let prints = |locator: &Locator<'_>| {
        let report = serde_json::from_value(image(&results)).unwrap();
        prints(&from_report(report, locator))
    };
    let without = Locator::new("app", "", &source);
    let with = Locator::new("app", "", &source).built_from("Dockerfile", &Metadata::default());
    assert_eq!(prints(&with), prints(&without));
}

#[test]
fn a_check_is_recognized_by_its_message_and_not_by_its_line() {
    let of = |image: &str, above: &str| {
        let text = format!("{above}FROM {image}\nRUN a\n");
        let (_directory, source) = workspace(&[("Dockerfile", &*text)]);
        let line = u32::try_from(above.lines().count()).unwrap() + 1;
        let message = format!("image '{image}' runs as root");
        let results = json!([{"Target": "Dockerfile", "Class": "config", "Misconfigurations": [check(&message, "", line)]}]);
        only(directory(&results), &source)
    };
    let first = of("node:22", "");
    assert_eq!(first, of("node:24", ""));
    assert_eq!(first, of("node:24@sha256:0123", "# comment\n"));
    assert_ne!(first, of("python:3.13", ""));
}

#[test]
fn another_port_is_another_finding() {
    let source = SourceFiles::default();
    let of = |message: &str| {
        let results = json!([{"Target": "main.tf", "Class": "config", "Misconfigurations": [check(message, "aws_x.a", 1)]}]);
        only(directory(&results), &source)
    };
    assert_ne!(of("Port 22 is open"), of("Port 443 is open"));
    assert_ne!(of("10.0.0.0/8 is open"), of("0.0.0.0/0 is open"));
}

#[test]
fn a_replaced_secret_is_another_one() {
    let of = |text: &str, line: u32, end: u32| {
        let (_directory, source) = workspace(&[(".env", text)]);
        let results =
            json!([{"Target": ".env", "Class": "secret", "Secrets": [secret(line, end)]}]);
        only(directory(&results), &source)
    };
    let first = of("KEY=a\n", 1, 1);
    assert_eq!(first, of("# comment\r\n\r\n  KEY=a\r\nOTHER=b\n", 3, 3));
    assert_ne!(first, of("KEY=b\n", 1, 1));
    // Every line of it counts.
    assert_ne!(of("BEGIN\na\nEND\n", 1, 3), of("BEGIN\nb\nEND\n", 1, 3));
}

#[test]
fn equal_lines_in_two_files_are_numbered_apart() {
    let (_directory, source) = workspace(&[("z.env", "KEY=a\n"), ("a.env", "KEY=a\nKEY=a\n")]);
    let results = |files: &[(&str, &[u32])]| {
        let result = |(file, lines): &(&str, &[u32])| {
            let secrets: Vec<_> = lines.iter().map(|line| secret(*line, *line)).collect();
            json!({"Target": file, "Class": "secret", "Secrets": secrets})
        };
        files.iter().map(result).collect::<Value>()
    };
    let before = findings(directory(&results(&[("z.env", &[1])])), &source);
    let after = findings(
        directory(&results(&[("a.env", &[1, 2]), ("z.env", &[1])])),
        &source,
    );
    let new: BTreeSet<_> = prints(&after)
        .difference(&prints(&before))
        .cloned()
        .collect();
    assert_eq!(new.len(), 2);
    assert!(prints(&before).is_subset(&prints(&after)));
}

#[test]
fn a_severity_or_a_suppression_changes_no_number() {
    let source = SourceFiles::default();
    let of = |severity: &str| {
        let mut first = vulnerable("lodash", "3.0.0", "");
        first["Severity"] = severity.into();
        let results = json!([{"Target": "package-lock.json", "Class": "lang-pkgs", "Type": "npm", "Vulnerabilities": [vulnerable("lodash", "4.0.0", ""), first]}]);
        let findings = findings(directory(&results), &source);
        let print = |version: &str| {
            let has_version = |finding: &&Finding| finding.package().unwrap().installed == version;
            findings
                .iter()
                .find(has_version)
                .unwrap()
                .fingerprint
                .clone()
        };
        [print("3.0.0"), print("4.0.0")]
    };
    assert_eq!(of("LOW"), of("CRITICAL"));
}

/// Rule and fingerprint of each.
fn prints(findings: &[Finding]) -> BTreeSet<(String, String)> {
    let key = |finding: &Finding| (finding.rule.id.clone(), finding.fingerprint.clone());
    findings.iter().map(key).collect()
}

/// What is in a repository and its image: small numbers, so that much is equal.
#[derive(Debug, Clone)]
struct World {
    /// Name and version of each package of the distribution.
    system: BTreeSet<(u8, u8)>,
    /// Name, version and directory of each package in the image.
    packages: BTreeSet<(u8, u8, u8)>,
    /// Name, version and WAR of each JAR in the image.
    jars: BTreeSet<(u8, u8, u8)>,
    /// Name, version and lock file of each package of the repository.
    locked: BTreeSet<(u8, u8, u8)>,
    /// Package, version and directory of each license in the image.
    licenses: BTreeSet<(u8, u8, u8)>,
    /// File of each secret in the image.
    keys: Vec<u8>,
    /// File and key of each secret of the repository.
    secrets: Vec<(u8, u8)>,
    /// File, resource and message of each failed check.
    checks: Vec<(u8, u8, u8)>,
}

/// What does not matter.
#[derive(Debug, Clone, Default)]
struct Circumstances {
    tag: u8,
    /// Added to each version.
    update: u8,
    /// A package by its label, and what is added to its version alone: less than 5, and it passes no other version.
    alone: Option<(String, u8)>,
    /// Lines above everything.
    above: usize,
    reversed: bool,
    /// A file that comes first, with a copy of the secrets and checks.
    has_copy: bool,
}

impl Circumstances {
    fn version(&self, label: &str, version: u8) -> String {
        let alone = self.alone.as_ref().filter(|(own, _)| own == label);
        let alone = alone.map_or(0, |(_, more)| *more);
        format!("1.{}", 5 * version + self.update + alone)
    }

    // Its label is in what no fingerprint has.
    fn package(
        &self,
        kind: &str,
        (name, version, place): (u8, u8, u8),
        file: impl Fn(&str) -> String,
    ) -> Value {
        let label = format!("{kind}-{name}-{version}-{place}");
        let version = self.version(&label, version);
        let name = format!("p{name}");
        let mut package = vulnerable(&name, &version, &file(&format!("{name}-{version}")));
        package["FixedVersion"] = label.into();
        package
    }

    fn ordered(&self, mut list: Vec<Value>) -> Value {
        if self.reversed {
            list.reverse();
        }
        list.into()
    }
}

fn triples() -> impl Strategy<Value = BTreeSet<(u8, u8, u8)>> {
    prop::collection::btree_set((0..2_u8, 0..3_u8, 0..2_u8), 0..6)
}

fn any_world() -> impl Strategy<Value = World> {
    let system = prop::collection::btree_set((0..2_u8, 0..3_u8), 0..4);
    let keys = prop::collection::vec(0..2_u8, 0..3);
    let secrets = prop::collection::vec((0..2_u8, 0..2_u8), 0..6);
    let checks = prop::collection::vec((0..2_u8, 0..2_u8, 0..2_u8), 0..6);
    let packages = (triples(), triples(), triples(), triples());
    (system, packages, keys, secrets, checks).prop_map(
        |(system, (packages, jars, locked, licenses), keys, secrets, checks)| World {
            system,
            packages,
            jars,
            locked,
            licenses,
            keys,
            secrets,
            checks,
        },
    )
}

impl World {
    /// The findings of the image and of the repository.
    fn scans(&self, around: &Circumstances) -> [Vec<Finding>; 2] {
        [self.image(around), self.repository(around)]
    }

    fn image(&self, around: &Circumstances) -> Vec<Finding> {
        let tag = around.tag;
        let system = self.system.iter().map(|(name, version)| {
            around.package("system", (*name, *version, 0), |_| String::new())
        });
        let packages = self.packages.iter().map(|package| {
            let file =
                |name: &str| format!("opt/{}/python3.{tag}/{name}.dist-info/METADATA", package.2);
            around.package("python", *package, file)
        });
        let jars = self.jars.iter().map(|jar| {
            let file = |name: &str| format!("srv/shop-{}.{tag}.war/WEB-INF/lib/{name}.jar", jar.2);
            around.package("jar", *jar, file)
        });
        let licenses = self.licenses.iter().map(|(name, version, place)| {
            let version = around.version("", *version);
            json!({"Name": "GPL-3.0-only", "PkgName": format!("p{name}"), "Category": "restricted", "Severity": "HIGH",
                "FilePath": format!("opt/{place}/p{name}-{version}/LICENSE")})
        });
        let target = format!("registry.example/app:{tag}@sha256:{tag} (debian 13.{tag})");
        let mut results = vec![
            json!({"Target": target, "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": around.ordered(system.collect())}),
            json!({"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg", "Vulnerabilities": around.ordered(packages.collect())}),
            json!({"Target": "Java", "Class": "lang-pkgs", "Type": "jar", "Vulnerabilities": around.ordered(jars.collect())}),
            json!({"Target": "Loose File License(s)", "Class": "license-file", "Licenses": around.ordered(licenses.collect())}),
        ];
        for file in 0..2 {
            let count = self
                .keys
                .iter()
                .fold(0, |count, own| count + usize::from(*own == file));
            let lines = (1..=count + around.above).skip(around.above);
            let secrets = lines.map(|line| {
                let line = u32::try_from(line).unwrap();
                secret(line, line)
            });
            let target = format!("/etc/key{file}.pem");
            results.push(json!({"Target": target, "Class": "secret", "Secrets": around.ordered(secrets.collect())}));
        }
        let results = around.ordered(results);
        findings(image(&results), &SourceFiles::default())
    }

    fn repository(&self, around: &Circumstances) -> Vec<Finding> {
        let tag = around.tag;
        let mut results = Vec::new();
        for file in 0..2 {
            let locked = self.locked.iter().filter(|(_, _, own)| *own == file);
            let locked =
                locked.map(|package| around.package("locked", *package, |_| String::new()));
            results.push(json!({"Target": format!("{file}.1/uv.lock"), "Class": "lang-pkgs", "Type": "uv", "Vulnerabilities": around.ordered(locked.collect())}));
        }
        let mut files = Vec::new();
        let mut names = vec![("f0".to_owned(), 0), ("f1".to_owned(), 1)];
        if around.has_copy {
            names.insert(0, ("a".to_owned(), 0));
        }
        for (name, number) in names {
            let mut text = "# comment\n".repeat(around.above);
            let mut line = u32::try_from(around.above).unwrap();
            let (mut secrets, mut checks) = (Vec::new(), Vec::new());
            for (_, key) in self.secrets.iter().filter(|(file, _)| *file == number) {
                text += &format!("KEY={key}\n");
                line += 1;
                secrets.push(secret(line, line));
            }
            for (_, resource, message) in self.checks.iter().filter(|(file, ..)| *file == number) {
                text += &format!("FROM image{message}:{tag}\n");
                line += 1;
                let message = format!("image{message}:{tag} is not pinned");
                checks.push(check(&message, &format!("r{resource}"), line));
            }
            files.push((name.clone(), text));
            results.push(
                json!({"Target": name, "Class": "secret", "Secrets": around.ordered(secrets)}),
            );
            results.push(
                json!({"Target": name, "Class": "config", "Misconfigurations": around.ordered(checks)}),
            );
        }
        let (_directory, source) = workspace(&files);
        findings(directory(&around.ordered(results)), &source)
    }
}

/// The fingerprint of each package, by its label.
fn packages(findings: &[Finding]) -> BTreeMap<String, String> {
    let package = |finding: &Finding| {
        let label = finding.package()?.fixed.clone();
        Some((label, finding.fingerprint.clone()))
    };
    findings.iter().filter_map(package).collect()
}

#[test]
fn an_update_past_a_power_of_ten_swaps_no_two_packages() {
    let source = SourceFiles::default();
    let of = |version: &str| {
        let mut second = vulnerable("lodash", version, "");
        second["FixedVersion"] = "second".into();
        let results = json!([{"Target": "package-lock.json", "Class": "lang-pkgs", "Type": "npm", "Vulnerabilities": [second, vulnerable("lodash", "9.0", "")]}]);
        packages(&findings(directory(&results), &source))
    };
    assert_eq!(of("9.5"), of("10.0"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn two_findings_never_share_a_fingerprint(world in any_world(), has_copy: bool) {
        for findings in world.scans(&Circumstances { has_copy, ..Circumstances::default() }) {
            prop_assert_eq!(prints(&findings).len(), findings.len());
            let alone: BTreeSet<_> = findings.iter().map(|finding| &finding.fingerprint).collect();
            prop_assert_eq!(alone.len(), findings.len());
        }
    }

    #[test]
    fn a_finding_keeps_its_fingerprint(world in any_world(), tag in 0..20_u8, update in 0..20_u8, above in 0..4_usize, reversed: bool) {
        let before = world.scans(&Circumstances::default());
        let after = world.scans(&Circumstances { tag, update, above, reversed, ..Circumstances::default() });
        for (before, after) in before.iter().zip(&after) {
            prop_assert_eq!(prints(before), prints(after));
            prop_assert_eq!(packages(before), packages(after));
        }
    }

    #[test]
    fn one_package_that_is_updated_alone_changes_no_fingerprint(world in any_world(), which: prop::sample::Index, more in 1..5_u8, reversed: bool) {
        let before = world.scans(&Circumstances::default());
        let labels: Vec<_> = before.iter().flat_map(|findings| packages(findings).into_keys()).collect();
        prop_assume!(!labels.is_empty());
        let alone = Some((which.get(&labels).clone(), more));
        let after = world.scans(&Circumstances { alone, reversed, ..Circumstances::default() });
        for (before, after) in before.iter().zip(&after) {
            prop_assert_eq!(prints(before), prints(after));
            prop_assert_eq!(packages(before), packages(after));
        }
    }

    #[test]
    fn another_file_changes_no_fingerprint(world in any_world()) {
        let before = world.repository(&Circumstances::default());
        let after = world.repository(&Circumstances { has_copy: true, ..Circumstances::default() });
        prop_assert!(prints(&before).is_subset(&prints(&after)));
    }
}
