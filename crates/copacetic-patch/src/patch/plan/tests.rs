use super::*;

/// A report of an image with `packages`: name, installed version, and the version that fixes `CVE-<name>`; an empty one
/// if there is none yet, `-` if the package has no finding.
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
    let findings: Vec<_> = packages
        .iter()
        .filter(|(_, _, fixed)| *fixed != "-")
        .map(|(name, version, fixed)| json!({"VulnerabilityID": format!("CVE-{name}"), "PkgID": format!("{name}@{version}"), "PkgName": name, "InstalledVersion": version, "FixedVersion": fixed, "Severity": "HIGH"}))
        .collect();
    let value = json!({
        "SchemaVersion": 2, "ArtifactName": "app:1", "ArtifactType": "container_image",
        "Metadata": {"OS": {"Family": "debian", "Name": "13.8"}, "DiffIDs": ["sha256:a"], "ImageConfig": {"architecture": "amd64"}},
        "Results": [{"Target": "app:1", "Class": "os-pkgs", "Type": "debian", "Packages": installed, "Vulnerabilities": findings}],
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
    let mut report = report(&[
        ("openssl", "1", "2"),
        ("zlib1g", "1", ""),
        ("bash", "5", "-"),
    ]);
    report.results[0]
        .vulnerabilities
        .push(trivy::report::Vulnerability {
            package: "curl".into(),
            fixed_version: "9".into(),
            ..Default::default()
        });
    let plan = Plan::new(&report, &image(), false).unwrap();
    assert_eq!(plan.packages().collect::<Vec<_>>(), ["openssl"]);
    let updates: Vec<_> = plan.updates().iter().map(ToString::to_string).collect();
    assert_eq!(updates, ["openssl 1 → 2 (1 finding)"]);
}

#[test]
fn a_library_is_not_a_package_of_the_distribution() {
    let mut report = report(&[("openssl", "1", "2")]);
    report.results[0].class = "lang-pkgs".into();
    assert!(Plan::new(&report, &image(), false).unwrap().is_empty());
}

#[test]
fn skipping_must_leave_something_and_change_something() {
    let both = report(&[("openssl", "1", "2"), ("perl", "1", "2")]);
    let plan = Plan::new(&both, &image(), false).unwrap();
    let rest = |skipped: &[&str]| {
        let rest = plan.without(skipped.iter().copied())?;
        Some(rest.packages().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(rest(&["perl"]).as_deref(), Some("openssl"));
    assert_eq!(rest(&["curl"]), None);
    assert_eq!(rest(&["perl", "openssl"]), None);
}

#[test]
fn the_report_that_copa_gets() {
    let plan = Plan::new(&report(&[("openssl", "1", "2")]), &image(), false).unwrap();
    insta::assert_json_snapshot!(plan.report("127.0.0.1:5000/x/app:1", None), @r#"
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

// The families that Trivy has, also in earlier versions.
#[test]
fn each_distribution_is_supported_as_copa_supports_it() {
    let supported = "alma alpine amazon azurelinux cbl-mariner centos centos-stream debian opensuse-leap opensuse-tumbleweed opensuse.leap redhat rocky sles ubuntu";
    let others =
        "bottlerocket chainguard coreos echo fedora minimos opensuse oracle photon slem wolfi";
    let is_supported = |family: &str| {
        let mut report = report(&[("openssl", "1", "2")]);
        report.metadata.os = Some(trivy::report::Os {
            family: family.into(),
            name: "9".into(),
            ..Default::default()
        });
        Plan::new(&report, &image(), false).is_ok()
    };
    for family in supported.split(' ').chain(["suse linux enterprise server"]) {
        assert!(is_supported(family), "{family}");
    }
    for family in others.split(' ') {
        assert!(!is_supported(family), "{family}");
    }
}

#[test]
fn a_distribution_that_copa_does_not_support_matters_only_if_there_is_an_update() {
    let photon = |packages| {
        let mut report = report(packages);
        report.metadata.os = Some(trivy::report::Os {
            family: "photon".into(),
            name: "5".into(),
            ..Default::default()
        });
        Plan::new(&report, &image(), false)
    };
    assert!(photon(&[("openssl", "1", "-")]).unwrap().is_empty());
    assert_eq!(
        photon(&[("openssl", "1", "2")]).unwrap_err().to_string(),
        "Copa does not support packages of photon 5; rebuild the image on a newer base"
    );
    let unknown = |packages| {
        let mut report = report(packages);
        report.metadata.os = None;
        Plan::new(&report, &image(), false)
    };
    assert!(unknown(&[]).unwrap().is_empty());
    let error = unknown(&[("openssl", "1", "2")]).unwrap_err().to_string();
    assert!(error.contains("`Metadata.OS`"), "{error}");
}

/// The same with Python packages: metadata file, installed version, finding, and the version that fixes it.
fn with_python(mut report: Report, packages: &[(&str, &str, &str, &str)]) -> Report {
    let findings = packages
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
fn an_image_without_a_distribution_has_python_packages_to_update() {
    let path = "app/lib/python3.13/site-packages/vulnpy-1.0.0.dist-info/METADATA";
    let mut report = with_python(report(&[]), &[(path, "1.0.0", "CVE-1", "1.0.2")]);
    report.metadata.os = None;
    report.results.remove(0);
    let plan = Plan::new(&report, &image(), true).unwrap();
    assert_eq!(plan.packages().collect::<Vec<_>>(), ["vulnpy"]);
    let report = plan.report("app:1", None);
    let packages = |index: usize| {
        report["Results"][index]["Vulnerabilities"]
            .as_array()
            .unwrap()
    };
    // Without packages of a distribution, Copa needs no package manager.
    assert_eq!((packages(0).len(), packages(1).len()), (0, 1));
}

#[test]
fn python_packages_are_planned_only_with_libraries() {
    let venv = "opt/venv/lib/python3.13/site-packages/vulnpy-1.0.0.dist-info/METADATA";
    let system = "usr/local/lib/python3.13/site-packages/vulnpy-1.0.0.dist-info/METADATA";
    let vendored =
        "opt/venv/lib/python3.13/site-packages/pip/_vendor/vulnpy-1.0.0.dist-info/METADATA";
    let report = with_python(
        report(&[]),
        &[
            (venv, "1.0.0", "CVE-1", "1.0.2"),
            (venv, "1.0.0", "CVE-2", "1.1, 2.0"),
            (venv, "1.0.0", "CVE-3", "2.0"),
            (system, "1.0.0", "CVE-1", "1.0.2"),
            (vendored, "1.0.0", "CVE-1", "1.0.2"),
        ],
    );
    assert!(Plan::new(&report, &image(), false).unwrap().is_empty());
    let plan = Plan::new(&report, &image(), true).unwrap();
    // The image's own Python has no path, so that Copa runs its pip.
    let planned = plan.report("app:1", None)["Results"][1]["Vulnerabilities"].clone();
    let planned = planned.as_array().unwrap().iter().map(|v| {
        let text = |name: &str| v[name].as_str().unwrap().to_owned();
        [
            "PkgPath",
            "VulnerabilityID",
            "InstalledVersion",
            "FixedVersion",
        ]
        .map(text)
    });
    let planned: Vec<_> = planned.map(|fields| fields.join(" ")).collect();
    insta::assert_snapshot!(planned.join("\n"), @r"
    opt/venv/lib/python3.13/site-packages/vulnpy-1.0.0.dist-info/METADATA CVE-1 1.0.0 1.1
    opt/venv/lib/python3.13/site-packages/vulnpy-1.0.0.dist-info/METADATA CVE-2 1.0.0 1.1
     CVE-1 1.0.0 1.0.2
    ");
    assert!(plan.without_libraries().is_none());
    let fixed: Vec<_> = report.results[1]
        .vulnerabilities
        .iter()
        .map(|v| plan.has_library(v))
        .collect();
    assert_eq!(fixed, [true, true, false, true, false]);
}
