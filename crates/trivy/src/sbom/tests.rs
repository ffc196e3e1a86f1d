use super::*;

const REPORT: &str = r#"{
  "SchemaVersion": 2, "Trivy": {"Version": "0.72.0"}, "CreatedAt": "2026-11-24T00:20:53.124317427Z",
  "ArtifactName": "app:1", "ArtifactType": "container_image",
  "Metadata": {
    "Size": 7, "OS": {"Family": "debian", "Name": "13.8"}, "ImageID": "sha256:45b7", "DiffIDs": ["sha256:6e96"],
    "RepoTags": ["app:1"], "RepoDigests": ["example.com:5000/team/app@sha256:b222"],
    "ImageConfig": {"architecture": "amd64", "config": {"Labels": {"org.opencontainers.image.title": "app"}}}
  },
  "Results": [
    {"Target": "app:1 (debian 13.8)", "Class": "os-pkgs", "Type": "debian", "Packages": [
      {"ID": "bash@5.2.37-2", "Name": "bash", "Identifier": {"PURL": "pkg:deb/debian/bash@5.2.37-2?arch=amd64", "UID": "1"},
       "Version": "5.2.37", "Release": "2", "SrcName": "bash", "SrcVersion": "5.2.37", "SrcRelease": "2",
       "Maintainer": "Matthias Klose <doko@debian.org>", "DependsOn": ["base-files@13.8", "gone@1"], "Layer": {"DiffID": "sha256:6e96"}},
      {"ID": "base-files@13.8", "Name": "base-files", "Identifier": {"PURL": "pkg:deb/debian/base-files@13.8", "UID": "2"},
       "Version": "13.8", "Epoch": 1, "DependsOn": ["a@1"]},
      {"ID": "a@1", "Name": "a", "Identifier": {"UID": "3"}, "Version": "1", "DependsOn": ["b@1"]},
      {"ID": "b@1", "Name": "b", "Identifier": {"UID": "4"}, "Version": "1", "DependsOn": ["a@1"]}
    ]},
    {"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg", "Packages": [
      {"Name": "flask", "Identifier": {"PURL": "pkg:pypi/flask@3.1.3", "UID": "5"}, "Version": "3.1.3",
       "Licenses": ["BSD-3-Clause"], "FilePath": "opt/a/METADATA", "Digest": "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"},
      {"Name": "flask", "Identifier": {"PURL": "pkg:pypi/flask@3.1.3", "UID": "6"}, "Version": "3.1.3",
       "Licenses": ["Mine, all mine", "MIT OR Apache-2.0"], "FilePath": "opt/b/METADATA"}
    ]},
    {"Target": "app/requirements.txt", "Class": "lang-pkgs", "Type": "pip", "Packages": [
      {"Name": "jinja2", "Identifier": {"PURL": "pkg:pypi/jinja2@3.1.6", "UID": "7"}, "Version": "3.1.6"}
    ]},
    {"Target": "app/empty.txt", "Class": "lang-pkgs", "Type": "pip"}
  ]
}"#;

fn written(sbom: SbomFormat, raw: &str) -> String {
    let bytes = sbom.render(raw.as_bytes()).unwrap();
    // The version changes with every release.
    let own = format!("{}\"", env!("CARGO_PKG_VERSION"));
    String::from_utf8(bytes)
        .unwrap()
        .replace(&own, "[version]\"")
}

#[test]
fn an_image_in_cyclonedx() {
    insta::assert_snapshot!(written(SbomFormat::CycloneDx, REPORT));
}

#[test]
fn an_image_in_spdx() {
    insta::assert_snapshot!(written(SbomFormat::Spdx, REPORT));
}

#[test]
fn an_empty_report_is_an_artifact_without_packages() {
    let raw = r#"{"SchemaVersion": 2, "CreatedAt": "2026-11-24T00:20:53Z", "ArtifactType": "filesystem"}"#;
    for (sbom, text) in [
        (SbomFormat::CycloneDx, r#""components": []"#),
        (SbomFormat::Spdx, r#""relationshipType": "DESCRIBES""#),
    ] {
        let document = written(sbom, raw);
        assert!(document.contains(text), "{document}");
    }
}

#[test]
fn an_input_that_is_not_a_report_is_rejected() {
    let error = SbomFormat::Spdx.render(b"[1]").unwrap_err();
    assert!(
        error.to_string().starts_with("failed to read the packages"),
        "{error}"
    );
}
