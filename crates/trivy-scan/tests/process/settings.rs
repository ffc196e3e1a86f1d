//! Kinds of targets and settings of Trivy, with the real Trivy.

use serde_json::Value;
use testkit::FakeRunner;

use crate::real::real;
use crate::step::{fingerprints, sarif, scans, step};

const LOCK: &str = r#"{
  "name": "x", "version": "1.0.0", "lockfileVersion": 3,
  "packages": {
    "": {"name": "x", "version": "1.0.0", "dependencies": {"a": "1", "b": "1"}},
    "node_modules/a": {"version": "1.0.0", "license": "GPL-3.0"},
    "node_modules/b": {"version": "1.0.0", "license": "MIT"}
  }
}
"#;
const DPKG: &str = "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.5.7-1~deb13u2\nMaintainer: D <d@example.com>\nDescription: x\n\n";
const CHECK: &str = "# METADATA\n# title: Approved images\n# description: Use the approved image.\n# schemas:\n#   - input: schema[\"dockerfile\"]\n# custom:\n#   id: TEAM-001\n#   severity: HIGH\n#   input:\n#     selector:\n#       - type: dockerfile\npackage team.docker\n\nimport rego.v1\n\ndeny contains res if {\n\tcmd := input.Stages[_].Commands[_]\n\tcmd.Cmd == \"from\"\n\tres := result.new(\"not approved\", cmd)\n}\n";
const POLICY: &str = "package trivy\n\nimport rego.v1\n\ndefault ignore := false\n\nignore if input.VulnerabilityID == \"CVE-2025-27516\"\n";

fn places(step: &FakeRunner) -> Vec<String> {
    let file = sarif(step);
    let results = file["runs"][0]["results"].as_array().unwrap();
    let place = |r: &Value| {
        let place = &r["locations"][0]["physicalLocation"];
        format!(
            "{} {}:{}",
            r["ruleId"].as_str().unwrap(),
            place["artifactLocation"]["uri"].as_str().unwrap(),
            place["region"]["startLine"]
        )
    };
    let mut places: Vec<_> = results.iter().map(place).collect();
    places.sort();
    places.dedup();
    places
}

fn objections(step: &FakeRunner) -> Vec<String> {
    testkit::sarif_objections(&step.workspace().join("trivy-results.sarif"))
}

#[test]
#[ignore = "real: needs Trivy"]
fn the_root_of_an_installed_system_has_its_packages() {
    let dist = "opt/venv/lib/python3.13/site-packages/jinja2-3.1.2.dist-info/METADATA";
    let step = real()
        .file("root/etc/os-release", "ID=debian\nVERSION_ID=\"13\"\n")
        .file("root/etc/debian_version", "13.1\n")
        .file("root/var/lib/dpkg/status", DPKG)
        .file(
            &format!("root/{dist}"),
            "Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.2\n",
        )
        .input("scan-type", "rootfs")
        .input("path", "root");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert!(
        ran.log.contains("rootfs `root` (debian 13.1, 2 packages)"),
        "{}",
        ran.log
    );
    let places = places(&step);
    assert!(
        places.contains(&"CVE-2026-84782 root:1".to_owned()),
        "{places:?}"
    );
    assert!(
        places.contains(&format!("CVE-2025-27516 root/{dist}:1")),
        "{places:?}"
    );
    assert_eq!(objections(&step), Vec::<String>::new());
}

#[test]
#[ignore = "real: needs Trivy"]
fn the_packages_of_an_sbom_are_shown_on_it() {
    let sbom = |version: &str| {
        serde_json::json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": [
            {"type": "library", "name": "jinja2", "version": version, "purl": format!("pkg:pypi/jinja2@{version}"), "bom-ref": "1"},
        ]})
        .to_string()
    };
    let of = |version: &str| {
        let step = real()
            .file("out/app.cdx.json", &sbom(version))
            .input("scan-type", "sbom")
            .input("path", "out/app.cdx.json");
        let ran = step.run();
        assert_eq!((ran.code, ran.output("total")), (0, "1"), "{}", ran.log);
        assert_eq!(places(&step), ["CVE-2025-27516 out/app.cdx.json:1"]);
        assert_eq!(objections(&step), Vec::<String>::new());
        step
    };
    assert_eq!(fingerprints(&of("3.1.2")), fingerprints(&of("3.1.3")));
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_license_with_conditions_is_shown_on_its_line_of_the_lock_file() {
    let step = real()
        .file("package-lock.json", LOCK)
        .input("scan-type", "fs")
        .input("scanners", "license")
        .input("fail-on", "high");
    let ran = step.run();
    assert_eq!((ran.code, ran.output("total")), (1, "1"), "{}", ran.log);
    assert_eq!(places(&step), ["GPL-3.0-only package-lock.json:5"]);
    let message = &sarif(&step)["runs"][0]["results"][0]["message"]["text"];
    let expected =
        "a has the license GPL-3.0-only (restricted): check that its terms allow this use.";
    assert_eq!(message, expected);
    assert_eq!(objections(&step), Vec::<String>::new());
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_check_of_ones_own_is_evaluated_by_its_package() {
    let step = real()
        .file("k8s/Dockerfile", "FROM debian:13\nUSER root\n")
        .file("policies/images.rego", CHECK)
        .input("scan-type", "config")
        .input("path", "k8s")
        .input("checks", "policies");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let places = places(&step);
    assert!(
        places.contains(&"TEAM-001 k8s/Dockerfile:1".to_owned()),
        "{places:?}"
    );
    assert!(
        places.contains(&"DS-0002 k8s/Dockerfile:2".to_owned()),
        "{places:?}"
    );
}

#[test]
#[ignore = "real: needs Trivy"]
fn what_a_policy_ignores_is_listed_as_suppressed() {
    let step = real()
        .file("requirements.txt", "jinja2==3.1.2\n")
        .file("ignore.rego", POLICY)
        .input("scan-type", "fs")
        .input("ignore-policy", "ignore.rego");
    let ran = step.run();
    assert_eq!((ran.code, ran.output("total")), (0, "0"), "{}", ran.log);
    let suppressed = "- CVE-2025-27516 in `jinja2`: Filtered by Rego";
    assert!(ran.summary.contains(suppressed), "{}", ran.summary);
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_settings_file_changes_the_scan_and_not_the_report() {
    let settings = "format: table\noutput: stolen.txt\nexit-code: 7\nseverity: [CRITICAL]\nscan:\n  skip-files: [app/requirements.txt]\nsecret:\n  config: rules.yaml\n";
    let step = real()
        .file("requirements.txt", "jinja2==3.1.2\n")
        .file("app/requirements.txt", "jinja2==3.1.2\n")
        .file("config.txt", "key = \"AKIAIOSFODNN7EXAMPL3\"\n")
        .file("rules.yaml", "disable-rules: [aws-access-key-id]\n")
        .file("conf/trivy.yaml", settings)
        .input("scan-type", "fs")
        .input("trivy-config", "conf/trivy.yaml");
    let ran = step.run();
    assert_eq!((ran.code, ran.output("total")), (0, "1"), "{}", ran.log);
    assert_eq!(places(&step), ["CVE-2025-27516 requirements.txt:1"]);
    assert!(!step.workspace().join("stolen.txt").exists());
    let named =
        "::warning::`conf/trivy.yaml` changes the scan: it sets scan.skip-files, secret.config";
    assert!(ran.log.contains(named), "{}", ran.log);
    let unused = "::warning::`conf/trivy.yaml`: severity is not used; use the input `severity`";
    assert!(ran.log.contains(unused), "{}", ran.log);
}

#[test]
#[ignore = "real: needs Trivy"]
fn versions_that_are_elsewhere_are_reported() {
    let dependency = |name: &str, version: &str| {
        format!(
            "<dependency><groupId>g</groupId><artifactId>{name}</artifactId>{version}</dependency>"
        )
    };
    let pom = format!(
        "<project><modelVersion>4.0.0</modelVersion><parent><groupId>p</groupId><artifactId>parent</artifactId><version>1</version></parent><artifactId>shop</artifactId><dependencies>{}{}{}</dependencies></project>",
        dependency("managed", ""),
        dependency("known", "<version>1.0</version>"),
        dependency("property", "<version>${other.version}</version>"),
    );
    let step = real()
        .file("app/pom.xml", &pom)
        .file(
            "web/composer.json",
            r#"{"require": {"monolog/monolog": "^3"}}"#,
        )
        .file(
            "web/composer.lock",
            r#"{"packages": [{"name": "monolog/monolog", "version": "3.0.0"}]}"#,
        )
        .file("cli/Gemfile", "gem 'rails'\n")
        .file(
            "api/build.gradle.kts",
            "dependencies {\n  implementation(libs.guava)\n}\n",
        )
        .file("job/Pipfile", "[packages]\nflask = \"*\"\n")
        .input("scan-type", "fs")
        .input("fail-on-not-scanned", "true");
    let ran = step.run();
    assert_eq!(ran.code, 1, "{}", ran.log);
    let mut gaps: Vec<_> = ran
        .log
        .lines()
        .filter_map(|line| line.strip_prefix("::warning::"))
        .collect();
    gaps.sort_unstable();
    assert_eq!(
        gaps,
        [
            "api/build.gradle.kts has no lock file next to it; its packages were not scanned",
            "app/pom.xml does not have the versions of g:managed, g:property; they were not scanned",
            "cli/Gemfile has no lock file next to it; its packages were not scanned",
            "job/Pipfile has no lock file next to it; its packages were not scanned",
        ]
    );
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_file_of_a_chart_is_not_the_chart() {
    let step = real()
        .file("charts/app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")
        .file("charts/app/values.yaml", "image: app\n")
        .file("charts/app/templates/pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\nspec:\n  containers:\n    - name: a\n      image: {{ .Values.image }}\n")
        .input("scan-type", "config")
        .input("path", "charts/app/templates/pod.yaml");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let gap = "::warning::charts/app/templates/pod.yaml is a file of the Helm chart charts/app, which is checked as a whole only: set the path to the chart";
    assert!(ran.log.contains(gap), "{}", ran.log);
    let ran = step.input("path", "charts/app").run();
    assert!(
        !ran.log.contains("Helm chart") && ran.output("total") != "0",
        "{}",
        ran.log
    );
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_manifest_that_trivy_cannot_read_is_reported() {
    let pod = |image: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n    - name: a\n      image: {image}\n"
        )
    };
    let step = real()
        .file("k8s/pod.yaml", &pod("a:1"))
        .file("k8s/template.yaml", &pod("{{ image }}"))
        .file("k8s/two.yaml", &format!("{}---\n{}", pod("a:1"), pod("[")))
        .file("k8s/Dockerfile", "FROM debian\nRUNN apt-get update\n")
        .file(
            "k8s/tf/main.tf",
            "resource \"aws_s3_bucket\" \"a\" {\n  bucket =\n",
        )
        .file(
            "k8s/tf/module.tf",
            "module \"m\" {\n  source = \"./absent\"\n}\n",
        )
        .file(
            "k8s/stack.yaml",
            "AWSTemplateFormatVersion: '2010-09-09'\nResources: [\n",
        )
        .file(
            "k8s/chart/Chart.yaml",
            "apiVersion: v2\nname: x\nversion: 1.0.0\n",
        )
        .file("k8s/chart/templates/a.yaml", "{{ .Values.a.b.c }}\n")
        .input("scan-type", "config")
        .input("path", "k8s");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    for gap in [
        "::warning::k8s/template.yaml is a template, which Trivy does not render; it was not checked",
        "::warning::k8s/stack.yaml is not valid YAML: ",
        "::warning::k8s/two.yaml can't be parsed: ",
        "::warning::k8s/Dockerfile can't be parsed: ",
        "::warning::k8s/tf/main.tf can't be parsed: ",
        "::warning::k8s/tf/module.tf:1-3 calls a module that can't be loaded: ",
        "::warning::k8s/chart can't be rendered: ",
    ] {
        assert!(ran.log.contains(gap), "{}", ran.log);
    }
    // Not even the first document of the file is.
    let places = places(&step);
    assert!(
        places.iter().all(|place| place.contains("k8s/pod.yaml:")) && !places.is_empty(),
        "{places:?}"
    );
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_vex_statement_that_matches_nothing_is_reported() {
    let statement = |name: &str, product: &str| serde_json::json!({"vulnerability": {"name": name}, "products": [{"@id": product}], "status": "not_affected", "justification": "component_not_present"});
    let vex = serde_json::json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.com/vex/1", "author": "test", "timestamp": "2026-11-01T00:00:00Z", "version": 1,
        "statements": [statement("CVE-2025-27516", "pkg:pypi/jinja2@9"), statement("CVE-2000-0001", "pkg:pypi/jinja2")],
    });
    let ran = real()
        .file("requirements.txt", "jinja2==3.1.2\n")
        .file("vex.json", &vex.to_string())
        .input("scan-type", "fs")
        .input("vex", "vex.json")
        .run();
    assert_eq!((ran.code, ran.output("total")), (0, "1"), "{}", ran.log);
    for remark in [
        "`vex.json`: CVE-2025-27516 is open although a statement says that it does not apply",
        "`vex.json`: the statements on CVE-2000-0001 match nothing",
    ] {
        assert!(ran.log.contains(remark), "{}", ran.log);
    }
}

#[test]
fn an_image_is_looked_for_where_the_step_says() {
    let step = step()
        .env("CONTAINERD_ADDRESS", "/run/k3s/containerd.sock")
        .env("XDG_RUNTIME_DIR", "/run/user/1000")
        .input("image-sources", "containerd, remote");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert!(
        scans(&step)[0].contains("--image-src containerd,remote "),
        "{:?}",
        scans(&step)
    );
    let seen = std::fs::read_to_string(step.directory().join("tools/env")).unwrap();
    assert!(
        seen.contains("CONTAINERD_ADDRESS=/run/k3s/containerd.sock"),
        "{seen}"
    );
    assert!(!seen.contains("XDG_RUNTIME_DIR"), "{seen}");
}

#[test]
fn podman_is_found_by_its_variable() {
    let step = step()
        .env("CONTAINERD_ADDRESS", "/run/k3s/containerd.sock")
        .env("XDG_RUNTIME_DIR", "/run/user/1000")
        .input("image-sources", "podman");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let scans = scans(&step);
    assert!(scans[0].contains("--image-src podman "), "{scans:?}");
    let seen = std::fs::read_to_string(step.directory().join("tools/env")).unwrap();
    assert!(seen.contains("XDG_RUNTIME_DIR=/run/user/1000"), "{seen}");
    assert!(!seen.contains("CONTAINERD_ADDRESS"), "{seen}");
}

#[test]
fn settings_that_can_have_no_effect_are_bad_input() {
    let table = [
        (
            "checks",
            "app",
            "`app` has no check: no file `*.rego` with a `package`",
        ),
        (
            "checks",
            "policies",
            "are for targets of the `scan-type` `config`, and there is none",
        ),
        (
            "scanners",
            "secret",
            "has nothing to look for in sbom `app/Dockerfile`",
        ),
        ("image-sources", ",", "is empty"),
        (
            "ignore-policy",
            "none.rego",
            "there is no `none.rego` in the workspace",
        ),
        (
            "trivy-config",
            "app/Dockerfile",
            "`app/Dockerfile`: is not a mapping of settings",
        ),
    ];
    for (name, value, problem) in table {
        let step = step()
            .file("policies/a.rego", "package team.a\n")
            .input("image", "")
            .input("targets", "image app:1\nsbom app/Dockerfile")
            .input(name, value);
        let ran = step.run();
        assert_eq!(ran.code, 3, "{}", ran.log);
        assert_eq!(
            ran.error(),
            format!("trivy-scan: input `{name}`: {problem}")
        );
    }
}
