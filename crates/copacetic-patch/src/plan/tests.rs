//! What is planned.

use super::*;

/// A report of an image with `packages`: name, installed version, and the version that mends
/// `CVE-<name>`; an empty one if there is none yet, `-` if nothing is known against it.
pub(crate) fn report(packages: &[(&str, &str, &str)]) -> Report {
    let installed: Vec<_> = packages
        .iter()
        .map(|(name, version, _)| {
            json!({
                "ID": format!("{name}@{version}"), "Name": name,
                "Identifier": {"PURL": format!("pkg:deb/debian/{name}@{version}?arch=amd64")},
            })
        })
        .collect();
    let found: Vec<_> = packages
        .iter()
        .filter(|(_, _, fixed)| *fixed != "-")
        .map(|(name, version, fixed)| json!({"VulnerabilityID": format!("CVE-{name}"), "PkgID": format!("{name}@{version}"), "PkgName": name, "InstalledVersion": version, "FixedVersion": fixed, "Severity": "HIGH"}))
        .collect();
    let value = json!({
        "SchemaVersion": 2, "ArtifactName": "app:1", "ArtifactType": "container_image",
        "Metadata": {"OS": {"Family": "debian", "Name": "13.8"}, "DiffIDs": ["sha256:a"], "ImageConfig": {"architecture": "amd64"}},
        "Results": [{"Target": "app:1", "Class": "os-pkgs", "Type": "debian", "Packages": installed, "Vulnerabilities": found}],
    });
    serde_json::from_value(value).unwrap()
}

/// The image that [`report`] is of.
pub(crate) fn image() -> ImageInfo {
    ImageInfo {
        architecture: "amd64".into(),
        diff_ids: vec!["sha256:a".into()],
        ..ImageInfo::default()
    }
}

#[test]
fn only_installed_packages_with_an_update_are_planned() {
    let mut found = report(&[
        ("openssl", "1", "2"),
        ("zlib1g", "1", ""),
        ("bash", "5", "-"),
    ]);
    found.results[0]
        .vulnerabilities
        .push(trivy::report::Vulnerability {
            package: "curl".into(),
            fixed_version: "9".into(),
            ..Default::default()
        });
    let plan = Plan::of(&found, &image(), false).unwrap();
    assert_eq!(plan.packages().collect::<Vec<_>>(), ["openssl"]);
}

#[test]
fn a_package_of_a_language_is_not_the_distributions() {
    let mut found = report(&[("openssl", "1", "2")]);
    found.results[0].class = "lang-pkgs".into();
    assert!(Plan::of(&found, &image(), false).unwrap().is_empty());
}

#[test]
fn leaving_out_must_leave_something_and_change_something() {
    let both = report(&[("openssl", "1", "2"), ("perl", "1", "2")]);
    let plan = Plan::of(&both, &image(), false).unwrap();
    let rest = |out: &[&str]| {
        let rest = plan.without(out.iter().copied())?;
        Some(rest.packages().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(rest(&["perl"]).as_deref(), Some("openssl"));
    assert_eq!(rest(&["curl"]), None);
    assert_eq!(rest(&["perl", "openssl"]), None);
}

#[test]
fn the_report_that_copa_gets() {
    let plan = Plan::of(&report(&[("openssl", "1", "2")]), &image(), false).unwrap();
    insta::assert_json_snapshot!(plan.report("127.0.0.1:5000/x/app:1"), @r#"
    {
      "ArtifactName": "127.0.0.1:5000/x/app:1",
      "ArtifactType": "container_image",
      "Metadata": {
        "ImageConfig": {
          "architecture": "amd64",
          "os": "linux"
        },
        "OS": {
          "Family": "debian",
          "Name": "13"
        }
      },
      "Results": [
        {
          "Class": "os-pkgs",
          "Target": "127.0.0.1:5000/x/app:1",
          "Type": "debian",
          "Vulnerabilities": [
            {
              "FixedVersion": "2",
              "InstalledVersion": "1",
              "PkgName": "openssl",
              "Status": "fixed",
              "VulnerabilityID": "CVE-openssl"
            }
          ]
        }
      ],
      "SchemaVersion": 2
    }
    "#);
}

#[test]
fn a_distribution_that_copa_does_not_know_matters_only_where_there_is_an_update() {
    let photon = |packages| {
        let mut found = report(packages);
        found.metadata.os = Some(trivy::report::Os {
            family: "photon".into(),
            name: "5".into(),
            ..Default::default()
        });
        Plan::of(&found, &image(), false)
    };
    assert!(photon(&[("openssl", "1", "-")]).unwrap().is_empty());
    assert_eq!(
        photon(&[("openssl", "1", "2")]).unwrap_err().to_string(),
        "Copa can't update packages of photon 5: rebuild the image on a newer base"
    );
    let unknown = |packages| {
        let mut found = report(packages);
        found.metadata.os = None;
        Plan::of(&found, &image(), false)
    };
    assert!(unknown(&[]).unwrap().is_empty());
    let error = unknown(&[("openssl", "1", "2")]).unwrap_err().to_string();
    assert!(error.contains("`Metadata.OS`"), "{error}");
}

/// The same with packages of Python: the file that names each, its installed version, and what mends `id`.
fn with_python(mut report: Report, found: &[(&str, &str, &str, &str)]) -> Report {
    let findings = found
        .iter()
        .map(|(path, installed, id, fixed)| Vulnerability {
            id: (*id).into(),
            package: "vulnpy".into(),
            package_path: (*path).into(),
            installed_version: (*installed).into(),
            fixed_version: (*fixed).into(),
            ..Default::default()
        });
    report.results.push(trivy::report::ScanResult {
        class: "lang-pkgs".into(),
        r#type: PYTHON.into(),
        vulnerabilities: findings.collect(),
        ..Default::default()
    });
    report
}

#[test]
fn packages_of_python_are_planned_only_if_they_are_wanted() {
    let venv = "opt/venv/lib/python3.13/site-packages/vulnpy-1.0.0.dist-info/METADATA";
    let system = "usr/local/lib/python3.13/site-packages/vulnpy-1.0.0.dist-info/METADATA";
    let vendored =
        "opt/venv/lib/python3.13/site-packages/pip/_vendor/vulnpy-1.0.0.dist-info/METADATA";
    let found = with_python(
        report(&[]),
        &[
            (venv, "1.0.0", "CVE-1", "1.0.2"),
            (venv, "1.0.0", "CVE-2", "1.1, 2.0"),
            (venv, "1.0.0", "CVE-3", "2.0"),
            (system, "1.0.0", "CVE-1", "1.0.2"),
            (vendored, "1.0.0", "CVE-1", "1.0.2"),
        ],
    );
    assert!(Plan::of(&found, &image(), false).unwrap().is_empty());
    let plan = Plan::of(&found, &image(), true).unwrap();
    // The whole image's Python has no path, so that Copa takes its pip.
    let planned = plan.report("app:1")["Results"][1]["Vulnerabilities"].clone();
    let planned = planned.as_array().unwrap().iter().map(|v| {
        let word = |name: &str| v[name].as_str().unwrap().to_owned();
        [
            "PkgPath",
            "VulnerabilityID",
            "InstalledVersion",
            "FixedVersion",
        ]
        .map(word)
    });
    let planned: Vec<_> = planned.map(|words| words.join(" ")).collect();
    insta::assert_snapshot!(planned.join("\n"), @r"
    opt/venv/lib/python3.13/site-packages/vulnpy-1.0.0.dist-info/METADATA CVE-1 1.0.0 1.1
    opt/venv/lib/python3.13/site-packages/vulnpy-1.0.0.dist-info/METADATA CVE-2 1.0.0 1.1
     CVE-1 1.0.0 1.0.2
    ");
    assert!(plan.without_libraries().is_none());
    let mended: Vec<_> = found.results[1]
        .vulnerabilities
        .iter()
        .map(|v| plan.has_library(v))
        .collect();
    assert_eq!(mended, [true, true, false, true, false]);
}
