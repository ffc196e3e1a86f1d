//! The real Trivy on real images and files, and its results in other tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use testkit::FakeRunner;

use crate::step::{fingerprints, sarif};

/// The directory of a program in PATH.
pub(crate) fn folder_of(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let directory = std::env::split_paths(&path).find(|folder| folder.join(program).is_file());
    directory.unwrap_or_else(|| panic!("`{program}` is not in PATH"))
}

pub(crate) fn succeed(command: &mut Command) {
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {said}");
}

/// A step with the real Trivy and the local advisories.
pub(crate) fn real() -> FakeRunner {
    let advisories =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/trivy-db/advisories.yaml");
    let step = FakeRunner::new(env!("CARGO_BIN_EXE_trivy-scan"));
    with_database(step, &advisories)
}

/// `step` with the real Trivy, these `advisories` and the small Java database.
fn with_java(step: FakeRunner, advisories: &str) -> FakeRunner {
    let path = step.directory().join("advisories.yaml");
    std::fs::write(&path, advisories).unwrap();
    with_java_database(with_database(step, &path))
}

/// `step` with the small Java database.
fn with_java_database(step: FakeRunner) -> FakeRunner {
    let directory = step.directory().join("cache/java-db");
    std::fs::create_dir_all(&directory).unwrap();
    let database = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/trivy-java.db");
    std::fs::copy(database, directory.join("trivy-java.db")).unwrap();
    let now = jiff::Timestamp::now();
    let about = format!(
        r#"{{"Version":1,"UpdatedAt":"{now}","NextUpdate":"2100-01-01T00:00:00Z","DownloadedAt":"{now}"}}"#
    );
    std::fs::write(directory.join("metadata.json"), about).unwrap();
    step
}

fn with_database(step: FakeRunner, advisories: &Path) -> FakeRunner {
    let cache = step.workspace().join("../cache/db");
    succeed(Command::new("trivy-db").arg(advisories).arg(&cache));
    let path = format!("{}:/usr/bin:/bin", folder_of("trivy").display());
    let cache = step.directory().join("cache");
    step.env("PATH", &path)
        .input("cache-directory", &cache.to_string_lossy())
        .input("offline", "true")
        .input("token", "")
}

/// A saved image of a few files: Debian's openssl, and Jinja2 in its own layer.
pub(crate) fn save(path: &Path, name: &str, extra: &str) {
    save_with(path, name, ("etc/motd", extra));
}

/// The same with the file `extra`, path and text, in the second layer.
fn save_with(path: &Path, name: &str, extra: (&str, &str)) {
    save_files(path, name, &[(extra.0, extra.1.as_bytes())]);
}

/// The same with `files`, path and content, in the second layer.
fn save_files(path: &Path, name: &str, files: &[(&str, &[u8])]) {
    let (config, layers) = image_of(files);
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["0/layer.tar", "1/layer.tar"]}]);
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    add(&mut tar, "config.json", config.to_string().as_bytes());
    for (index, layer) in layers.iter().enumerate() {
        add(&mut tar, &format!("{index}/layer.tar"), layer);
    }
    add(&mut tar, "manifest.json", manifest.to_string().as_bytes());
    tar.finish().unwrap();
}

fn add(tar: &mut tar::Builder<impl std::io::Write>, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, bytes).unwrap();
}

/// Configuration and layers of an image of a few files, with the file `extra`, path and content, in the second layer.
pub(crate) fn image(extra: (&str, &[u8])) -> (serde_json::Value, [Vec<u8>; 2]) {
    image_of(&[extra])
}

fn image_of(files: &[(&str, &[u8])]) -> (serde_json::Value, [Vec<u8>; 2]) {
    let layer = |files: &[(&str, &[u8])]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in files {
            add(&mut tar, path, content);
        }
        tar.into_inner().unwrap()
    };
    let package = |name: &str, source: &str| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n{source}Version: 3.5.7-1~deb13u2\nMaintainer: D <d@example.com>\nDescription: x\n\n"
        )
    };
    let status = package("libssl3t64", "Source: openssl\n") + &package("openssl", "");
    let python: (&str, &[u8]) = (
        "opt/venv/lib/python3.13/site-packages/jinja2-3.1.2.dist-info/METADATA",
        b"Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.2\n",
    );
    let layers = [
        layer(&[
            (
                "etc/os-release",
                b"PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_ID=\"13\"\n",
            ),
            ("etc/debian_version", b"13.1\n"),
            ("var/lib/dpkg/status", status.as_bytes()),
        ]),
        layer(&[&[python][..], files].concat()),
    ];
    let digest = |bytes: &[u8]| oci::Digest::sha256(bytes).as_str().to_owned();
    let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "debootstrap"}, {"created_by": "RUN /bin/sh -c pip install --requirement requirements.txt # buildkit"}],
    });
    (config, layers)
}

fn objections(step: &FakeRunner) -> Vec<String> {
    testkit::sarif_objections(&step.workspace().join("trivy-results.sarif"))
}

const DOCKERFILE: &str =
    "FROM debian:trixie-slim\nRUN pip install --requirement requirements.txt\n";

#[test]
#[ignore = "real: needs Trivy"]
fn a_rebuilt_image_under_another_name_has_the_same_fingerprints() {
    let of = |file: &str, name: &str, extra: &str| {
        let step = real()
            .input("scan-type", "archive")
            .input("path", file)
            .input("dockerfile", "Dockerfile")
            .file("Dockerfile", DOCKERFILE);
        save(&step.workspace().join(file), name, extra);
        let ran = step.run();
        assert_eq!(ran.code, 0, "{}", ran.log);
        step
    };
    let (first, second) = (
        of("a.tar", "team/app:1", "one"),
        of("b-2.tar", "team/app:2", "two"),
    );
    let (one, two) = (fingerprints(&first), fingerprints(&second));
    assert_eq!(one, two);
    assert!(one.len() > 20, "{one:?}");
    let mut distinct = one.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), one.len());
    let file = sarif(&first);
    let results = file["runs"][0]["results"].as_array().unwrap();
    let place_of = |name: &str| {
        let found = results
            .iter()
            .find(|r| r["locations"][0]["logicalLocations"][0]["name"] == name);
        let place = &found.unwrap()["locations"][0]["physicalLocation"];
        format!(
            "{}:{}",
            place["artifactLocation"]["uri"].as_str().unwrap(),
            place["region"]["startLine"]
        )
    };
    assert_eq!(place_of("openssl"), "Dockerfile:1");
    assert_eq!(place_of("Jinja2"), "Dockerfile:2");
    assert_eq!(objections(&first), Vec::<String>::new());
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_repository_with_hostile_names_gives_a_file_that_validators_take() {
    let step = real()
        .file("requirements.txt", "jinja2==3.1.2\nwerkzeug>=2\n")
        .file(
            "deploy/Dockerfile",
            "FROM debian:latest\nRUN apt-get update\nUSER root\n",
        )
        .file("a:b/100%zz.txt", "key = \"AKIAIOSFODNN7EXAMPL3\"\n")
        .file(
            "git@forge.org:x/ü ß.txt",
            "key = \"AKIAIOSFODNN7EXAMPL4\"\n",
        )
        .file(".trivyignore", "# never shipped\nDS-0026\n")
        .input("targets", "fs .\nconfig deploy")
        .input("sbom", "cyclonedx,spdx");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let file = sarif(&step);
    let mut places: Vec<_> = file["runs"][0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            let place = &r["locations"][0]["physicalLocation"];
            format!(
                "{} {}:{}",
                r["ruleId"].as_str().unwrap(),
                place["artifactLocation"]["uri"].as_str().unwrap(),
                place["region"]["startLine"]
            )
        })
        .collect();
    places.sort();
    assert_eq!(
        places,
        [
            "CVE-2025-27516 requirements.txt:1",
            "aws-access-key-id a%3Ab/100%25zz.txt:1",
            "aws-access-key-id git@forge.org%3Ax/%C3%BC%20%C3%9F.txt:1",
        ]
    );
    let checks = file["runs"][1]["results"].as_array().unwrap();
    assert!(
        checks.iter().any(|r| r["ruleId"] == "DS-0002"),
        "{checks:?}"
    );
    assert_eq!(objections(&step), Vec::<String>::new());
    for sbom in ran.output("sbom-file").lines() {
        let text = std::fs::read_to_string(step.workspace().join(sbom)).unwrap();
        assert!(text.contains("jinja2"), "{sbom}: {text}");
    }
    assert!(
        ran.log.contains("requirements.txt does not pin werkzeug"),
        "{}",
        ran.log
    );
}

#[test]
#[ignore = "real: needs Trivy"]
fn what_a_vex_document_calls_not_affected_is_suppressed_with_its_reason() {
    let vex = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.com/vex/1", "author": "test", "timestamp": "2026-11-01T00:00:00Z", "version": 1,
        "statements": [{"vulnerability": {"name": "CVE-2025-27516"}, "products": [{"@id": "pkg:pypi/jinja2@3.1.2"}], "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path"}],
    });
    let step = real()
        .file("requirements.txt", "jinja2==3.1.2\n")
        .file("vex.json", &vex.to_string())
        .input("scan-type", "fs")
        .input("vex", "vex.json");
    let ran = step.run();
    assert_eq!((ran.code, ran.output("total")), (0, "0"), "{}", ran.log);
    let result = &sarif(&step)["runs"][0]["results"][0];
    let reason = result["suppressions"][0]["justification"].as_str().unwrap();
    assert!(
        reason.starts_with("vulnerable_code_not_in_execute_path"),
        "{reason}"
    );
    assert_eq!(objections(&step), Vec::<String>::new());
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_file_that_is_not_an_image_is_an_error_and_not_a_finding() {
    let step = real()
        .file("a.tar", "no archive")
        .input("scan-type", "archive")
        .input("path", "a.tar");
    let ran = step.run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert!(
        ran.error()
            .contains("is neither a saved image (`docker save`) nor an OCI layout"),
        "{}",
        ran.error()
    );
}

#[test]
#[ignore = "real: needs Trivy"]
fn an_unreachable_registry_is_an_error_and_not_a_finding() {
    let ran = real().input("image", "127.0.0.1:9/app:1").run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert!(
        ran.error()
            .contains("image `127.0.0.1:9/app:1` was found neither in Docker nor in its registry"),
        "{}",
        ran.error()
    );
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_malformed_vex_document_is_named() {
    let ran = real()
        .file("requirements.txt", "jinja2==3.1.2\n")
        .file("vex.json", "{\"statements\": 1}")
        .input("scan-type", "fs")
        .input("vex", "vex.json")
        .run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert!(
        ran.error()
            .contains("failed to read a VEX document; check the files of `vex`"),
        "{}",
        ran.error()
    );
}

/// A name of an image, taken away with the test.
struct Tagged(&'static str);

impl Tagged {
    fn from(name: &'static str, dockerfile: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
        succeed(
            Command::new("docker")
                .args(["build", "--quiet", "--tag", name])
                .arg(folder.path())
                .env("DOCKER_BUILDKIT", "0"),
        );
        Self(name)
    }
}

impl Drop for Tagged {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["image", "rm", self.0])
            .output();
    }
}

#[test]
#[ignore = "real: needs Docker and Trivy"]
fn the_application_rebuilt_keeps_its_findings_on_their_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let of = |image: &Tagged| {
        let step = real()
            .file("app/Dockerfile", &text("app/Dockerfile"))
            .file("app/requirements.txt", &text("app/requirements.txt"))
            .input("image", image.0)
            .input("dockerfile", "app/Dockerfile");
        let ran = step.run();
        assert_eq!(ran.code, 0, "{}", ran.log);
        assert_eq!(objections(&step), Vec::<String>::new());
        step
    };
    // Built by the checks that run before these.
    let application = "FROM seaworthy/flask-app:test\n";
    let first = of(&Tagged::from("seaworthy/rebuilt:1", application));
    let second = of(&Tagged::from(
        "seaworthy/rebuilt:2",
        &format!("{application}RUN touch /tmp/x\nLABEL again=yes\n"),
    ));
    let (one, two) = (fingerprints(&first), fingerprints(&second));
    assert!(!one.is_empty());
    assert_eq!(one, two);
    let places = sarif(&first).to_string();
    assert!(places.contains(r#""uri":"app/Dockerfile""#), "{places}");
}

#[test]
#[ignore = "real: needs Trivy"]
fn settings_of_the_checkout_do_not_turn_the_scan_off() {
    let step = real()
        .file("config.txt", "key = \"AKIAIOSFODNN7EXAMPL3\"\n")
        .file("dev/key.txt", "key = \"AKIAIOSFODNN7SAMPLE1\"\n")
        .file("tests/key.txt", "key = \"AKIAIOSFODNN7SAMPLE2\"\n")
        .file("trivy-secret.yaml", "disable-rules: [aws-access-key-id]\n")
        .file("trivy.yaml", "scan:\n  skip-files: [config.txt]\n")
        .file(
            "deploy/Dockerfile",
            "FROM debian:13\n#trivy:ignore:DS-0002\nUSER root\n",
        )
        .input("targets", "secret .\nconfig deploy");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let file = sarif(&step);
    let rules = |run: usize| {
        let results = file["runs"][run]["results"].as_array().unwrap().iter();
        results.map(|r| r["ruleId"].to_string()).collect::<Vec<_>>()
    };
    // Trivy finds neither the key in `dev` nor that in `tests`.
    assert_eq!(rules(0), ["\"aws-access-key-id\""]);
    // What a comment suppresses, Trivy does not report; that there is one is.
    assert!(
        !rules(1).contains(&"\"DS-0002\"".to_owned()),
        "{:?}",
        rules(1)
    );
    for note in [
        "::warning::`trivy.yaml` is not used",
        "::warning::`trivy-secret.yaml` is not used",
        "::warning::a comment in deploy/Dockerfile:2 suppresses checks there",
        "::warning::dev has the name of a system directory, which Trivy skips at the top of a target; it was not scanned",
        "text files, except those that Trivy's rules allow, such as tests and Markdown",
    ] {
        assert!(ran.log.contains(note), "{note}: {}", ran.log);
    }
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_checkout_of_the_base_is_compared_by_its_own_files() {
    let base = "key = \"AKIAIOSFODNN7EXAMPL3\"\n";
    let table = [
        (base.to_owned(), "0"),
        (format!("# a line above\n{base}"), "0"),
        (base.replace("3\"", "4\""), "1"),
    ];
    for (head, new) in table {
        let step = real()
            .file("app.env", &head)
            .file("base/app.env", base)
            .input("scan-type", "secret")
            .input("path", ".")
            .input("baseline", "base");
        let ran = step.run();
        assert_eq!(
            (ran.code, ran.output("total"), ran.output("new")),
            (0, "1", new),
            "{head}: {}",
            ran.log
        );
    }
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_path_that_is_a_link_is_what_it_leads_to_in_the_base_too() {
    let key = |digit: u32| format!("key = \"AKIAIOSFODNN7SAMPLE{digit}\"\n");
    // Of a directory that the base does not have, everything is new.
    for (base, new) in [("base/app/app.env", "1"), ("base/other.env", "2")] {
        let step = real()
            .file("app/app.env", &key(3))
            .file("app/new.env", &key(4))
            .file(base, &key(3))
            .input("scan-type", "secret")
            .input("path", "current")
            .input("baseline", "base");
        for checkout in ["", "base"] {
            let link = step.workspace().join(checkout).join("current");
            std::os::unix::fs::symlink("app", link).unwrap();
        }
        let ran = step.run();
        assert_eq!(
            (ran.code, ran.output("total"), ran.output("new")),
            (0, "2", new),
            "{base}: {}",
            ran.log
        );
    }
}

#[test]
#[ignore = "real: needs Trivy"]
fn an_update_of_a_base_image_is_neither_new_nor_fixed() {
    let dockerfile = |image: &str| format!("FROM {image}\nRUN apt-get update\nUSER root\n");
    let manifest = |image: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n    - name: web\n      image: {image}\n"
        )
    };
    let step = real()
        .file("base/k8s/Dockerfile", &dockerfile("node:22"))
        .file("base/k8s/pod.yaml", &manifest("app:1.0"))
        .file("k8s/Dockerfile", &dockerfile("node:24"))
        .file(
            "k8s/pod.yaml",
            &format!("# comment\n{}", manifest("app:1.1")),
        )
        .input("scan-type", "config")
        .input("path", "k8s")
        .input("baseline", "base")
        .input("fail-on", "low")
        .input("fail-on-new-only", "true");
    let ran = step.run();
    assert_eq!(
        (ran.code, ran.output("new"), ran.output("fixed")),
        (0, "0", "0"),
        "{}",
        ran.log
    );
    let total: usize = ran.output("total").parse().unwrap();
    let mut distinct = fingerprints(&step);
    distinct.sort();
    distinct.dedup();
    assert!(total > 10 && distinct.len() == total, "{distinct:?}");
}

/// An archive without entries (pkware.com/appnote, 4.3.16): Trivy identifies such a JAR file by its name.
const EMPTY_JAR: &str = "PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A step that scans an image with a JAR file.
fn with_jar() -> FakeRunner {
    let step = real()
        .input("scan-type", "archive")
        .input("path", "app.tar");
    let jar = ("app/log4j-core-2.14.0.jar", EMPTY_JAR);
    save_with(&step.workspace().join("app.tar"), "team/app:1", jar);
    step
}

#[test]
#[ignore = "real: needs Trivy"]
fn an_image_with_a_jar_file_is_scanned_with_the_java_database() {
    let step = with_java_database(with_jar());
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let report = std::fs::read_to_string(step.workspace().join("trivy-report.json")).unwrap();
    assert!(
        report.contains("org.apache.logging.log4j:log4j-core"),
        "{report}"
    );
}

/// Advisories of two Java packages (github.com/advisories/GHSA-jfh8-c2jp-5v3q and GHSA-599f-7c49-w659).
const JAVA_ADVISORIES: &str = r#"
sources:
  "maven::GitHub Security Advisory Maven": {id: ghsa, name: GitHub Security Advisory Maven, url: "https://github.com/advisories?query=type%3Areviewed+ecosystem%3Amaven"}
vulnerabilities:
  CVE-2021-44228:
    title: "Apache Log4j2: remote code execution through JNDI lookups"
    severity: CRITICAL
    url: https://github.com/advisories/GHSA-jfh8-c2jp-5v3q
    affects:
      - {source: "maven::GitHub Security Advisory Maven", package: "org.apache.logging.log4j:log4j-core", fixed: 2.15.0, range: "<2.15.0"}
  CVE-2022-42889:
    title: "Apache Commons Text: code execution through variable interpolation"
    severity: CRITICAL
    url: https://github.com/advisories/GHSA-599f-7c49-w659
    affects:
      - {source: "maven::GitHub Security Advisory Maven", package: "org.apache.commons:commons-text", fixed: 1.10.0, range: "<1.10.0"}
"#;

/// An archive of Java: a JAR or WAR.
fn archive(files: &[FileEntry]) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, content) in files {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(path.as_str(), options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The path of a file, and its content.
type FileEntry = (String, Vec<u8>);

/// What Maven writes into a JAR of `group:name:version`.
fn properties(package: &str) -> FileEntry {
    let parts: Vec<_> = package.split(':').collect();
    let [group, name, version] = parts[..] else {
        panic!("{package}");
    };
    let path = format!("META-INF/maven/{group}/{name}/pom.properties");
    let text = format!("groupId={group}\nartifactId={name}\nversion={version}\n");
    (path, text.into_bytes())
}

fn jar(packages: &[&str]) -> Vec<u8> {
    let files: Vec<_> = packages.iter().map(|package| properties(package)).collect();
    archive(&files)
}

/// A WAR and a shaded JAR with two vulnerable packages each, and a JAR of one of them: path and content.
fn java_files(app: &str, log4j: &str, text: &str) -> [FileEntry; 3] {
    let log4j_package = format!("org.apache.logging.log4j:log4j-core:{log4j}");
    let text_package = format!("org.apache.commons:commons-text:{text}");
    let lib = |name: &str| format!("WEB-INF/lib/{name}");
    let war = archive(&[
        properties(&format!("shop:shop:{app}")),
        (
            lib(&format!("log4j-core-{log4j}.jar")),
            jar(&[&log4j_package]),
        ),
        (
            lib(&format!("commons-text-{text}.jar")),
            jar(&[&text_package]),
        ),
    ]);
    let shaded = jar(&[
        &format!("shop:shop-all:{app}"),
        &log4j_package,
        &text_package,
    ]);
    [
        (format!("opt/shop-{app}.war"), war),
        (format!("opt/shop-all-{app}.jar"), shaded),
        (
            format!("opt/log4j-core-{log4j}.jar"),
            jar(&[&log4j_package]),
        ),
    ]
}

/// Scan `files` with the advisories of Java, as `prepare` puts them into a step: its findings are `total`, and each has an own
/// fingerprint.
fn java_fingerprints(
    files: &[FileEntry],
    total: usize,
    prepare: fn(FakeRunner, &[FileEntry]) -> FakeRunner,
) -> Vec<String> {
    let step = with_java(
        FakeRunner::new(env!("CARGO_BIN_EXE_trivy-scan")),
        JAVA_ADVISORIES,
    );
    let step = prepare(step, files).input("scanners", "vuln");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(ran.output("total"), total.to_string(), "{}", ran.log);
    assert_eq!(objections(&step), Vec::<String>::new());
    let results = sarif(&step)["runs"][0]["results"].to_string();
    for package in [
        "org.apache.logging.log4j:log4j-core",
        "org.apache.commons:commons-text",
    ] {
        assert!(results.contains(package), "{results}");
    }
    let mut prints = fingerprints(&step);
    prints.sort();
    prints.dedup();
    assert_eq!(prints.len(), total, "{prints:?}");
    prints
}

fn in_directory(step: FakeRunner, files: &[FileEntry]) -> FakeRunner {
    let root = step.workspace().join("root");
    std::fs::create_dir_all(root.join("opt")).unwrap();
    for (path, content) in files {
        std::fs::write(root.join(path), content).unwrap();
    }
    step.input("scan-type", "rootfs").input("path", "root")
}

fn in_image(step: FakeRunner, files: &[FileEntry]) -> FakeRunner {
    let files: Vec<_> = files
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_slice()))
        .collect();
    save_files(&step.workspace().join("app.tar"), "team/app:1", &files);
    step.input("scan-type", "archive").input("path", "app.tar")
}

#[test]
#[ignore = "real: needs Trivy"]
fn packages_in_a_war_and_in_a_shaded_jar_keep_their_identity_over_versions() {
    let scan = |app: &str, log4j: &str, text: &str| {
        let files = java_files(app, log4j, text);
        java_fingerprints(&files[..2], 4, in_directory)
    };
    assert_eq!(scan("1.0", "2.14.0", "1.8"), scan("1.1", "2.14.1", "1.9"));
}

#[test]
#[ignore = "real: needs Trivy"]
fn an_image_with_a_jar_a_war_and_a_shaded_jar_has_the_findings_of_each() {
    let scan = |app: &str, log4j: &str, text: &str| {
        java_fingerprints(&java_files(app, log4j, text), 5, in_image)
    };
    assert_eq!(scan("1.0", "2.14.0", "1.8"), scan("1.1", "2.14.1", "1.9"));
}

#[test]
#[ignore = "real: needs Trivy"]
fn an_image_with_a_jar_file_names_the_java_database_that_is_missing() {
    let ran = with_jar().run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    let message = "`offline` is set, but there is no Java database in `";
    assert!(ran.error().contains(message), "{}", ran.error());
}
