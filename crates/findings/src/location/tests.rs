use super::*;
use serde_json::json;
use trivy::report::Metadata;

const DOCKERFILE: &str = "ARG BASE=debian:trixie-slim\nFROM ${BASE} AS base\nRUN apt-get update \\\n && apt-get install python3\nFROM base AS build\nRUN pip install -r requirements.txt\nFROM base\nCOPY --from=build /opt/venv /opt/venv\nUSER 1\n";

fn metadata() -> Metadata {
    serde_json::from_value(json!({
        "DiffIDs": ["sha256:base", "sha256:python", "sha256:venv"],
        "ImageConfig": {"history": [
            {"created_by": "debootstrap"},
            {"created_by": "RUN |1 BASE=debian:trixie-slim /bin/sh -c apt-get update  && apt-get install python3 # buildkit"},
            {"created_by": "COPY /opt/venv /opt/venv # buildkit"},
            {"created_by": "USER 1", "empty_layer": true},
        ]},
    }))
    .unwrap()
}

/// A workspace with these files.
pub(crate) fn workspace<T: AsRef<str>>(files: &[(T, T)]) -> (tempfile::TempDir, SourceFiles) {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text.as_ref()).unwrap();
    }
    let source = SourceFiles::new(directory.path());
    (directory, source)
}

fn result(class: &str, kind: &str, target: &str) -> ScanResult {
    serde_json::from_value(json!({"Class": class, "Type": kind, "Target": target})).unwrap()
}

fn layer(diff_id: &str) -> Layer {
    serde_json::from_value(json!({"DiffID": diff_id})).unwrap()
}

fn shown(location: &Location) -> String {
    format!("{}:{}-{}", location.path, location.line, location.end_line)
}

#[test]
fn a_package_of_an_image_is_shown_on_the_instruction_that_installed_it() {
    let (_directory, source) = workspace(&[
        ("app/Dockerfile", DOCKERFILE),
        ("app/requirements.txt", "flask==3.1.2\njinja2==3.1.6\n"),
    ]);
    let locator = Locator::new("app", "", &source).built_from("./app/Dockerfile", &metadata());
    let os = result("os-pkgs", "debian", "app:1 (debian 13.8)");
    let python = result("lang-pkgs", "python-pkg", "Python");
    let table = [
        (&os, "libc6", "sha256:base", "app/Dockerfile:2-2"),
        (&os, "python3", "sha256:python", "app/Dockerfile:3-4"),
        (&os, "openssl", "sha256:unknown", "app/Dockerfile:2-2"),
        (&python, "Jinja2", "sha256:venv", "app/requirements.txt:2-2"),
        (&python, "setuptools", "sha256:venv", "app/Dockerfile:8-8"),
    ];
    for (result, name, diff_id, expected) in table {
        let location = locator.package(result, (name, "1"), "", &layer(diff_id), None);
        assert_eq!(shown(&location), expected, "{name}");
    }
}

#[test]
fn a_lock_file_is_found_above_the_directory_of_the_dockerfile() {
    let (_directory, source) = workspace(&[
        ("docker/Dockerfile", DOCKERFILE),
        ("requirements.txt", "flask==3.1.2\njinja2==3.1.6\n"),
    ]);
    let locator = Locator::new("app", "", &source).built_from("docker/Dockerfile", &metadata());
    let python = result("lang-pkgs", "python-pkg", "Python");
    let table = [
        ("Jinja2", "requirements.txt:2-2"),
        ("setuptools", "docker/Dockerfile:8-8"),
    ];
    for (name, expected) in table {
        let layer = layer("sha256:venv");
        let location = locator.package(&python, (name, "1"), "", &layer, None);
        assert_eq!(shown(&location), expected, "{name}");
    }
}

#[test]
fn a_package_of_a_directory_is_shown_on_its_line_of_the_lock_file() {
    let (_directory, source) = workspace(&[(
        "app/uv.lock",
        "[[package]]\nname = \"flask\"\nversion = \"3.1.2\"\n",
    )]);
    let locator = Locator::new("app", "app", &source);
    let uv = result("lang-pkgs", "uv", "uv.lock");
    let none = Layer::default();
    let at =
        |lines: Option<&Lines>| shown(&locator.package(&uv, ("flask", "3.1.2"), "", &none, lines));
    assert_eq!(at(None), "app/uv.lock:2-2");
    let lines = Lines {
        start_line: 7,
        end_line: 9,
    };
    assert_eq!(at(Some(&lines)), "app/uv.lock:7-9");
}

#[test]
fn a_package_of_pylock_toml_is_shown_on_its_line() {
    let (_directory, source) = workspace(&[(
        "app/pylock.toml",
        "lock-version = \"1.0\"\n[[packages]]\nname = \"flask\"\nversion = \"3.1.2\"\n",
    )]);
    let locator = Locator::new("app", "app", &source);
    let result = result("lang-pkgs", "pylock", "pylock.toml");
    let location = locator.package(&result, ("Flask", "3.1.2"), "", &Layer::default(), None);
    assert_eq!(shown(&location), "app/pylock.toml:3-3");
}

#[test]
fn paths_are_relative_to_the_workspace() {
    let (_directory, source) = workspace::<&str>(&[]);
    let path = |name, prefix, file| Locator::new(name, prefix, &source).lines(file, 0, 0).path;
    assert_eq!(path("app", "app", "./a.txt"), "app/a.txt");
    assert_eq!(path("repository", "", "/etc/x"), "etc/x");
    assert_eq!(path("repository", "", "."), "repository");
    assert_eq!(
        path("app/Dockerfile", "app/Dockerfile", "Dockerfile"),
        "app/Dockerfile"
    );
}

#[test]
fn only_files_of_the_workspace_are_read() {
    let (directory, source) = workspace(&[("in/a.txt", "a")]);
    std::fs::write(directory.path().join("secret"), "s").unwrap();
    let inner = SourceFiles::new(directory.path().join("in"));
    assert_eq!(inner.text("a.txt").as_deref(), Some("a"));
    assert_eq!(inner.text("../secret"), None);
    assert_eq!(source.text("/etc/passwd"), None);
    let links = [
        ("out.txt", "../secret"),
        ("environment.txt", "/proc/self/environ"),
        ("endless.txt", "/dev/zero"),
    ];
    for (name, target) in links {
        let link = directory.path().join("in").join(name);
        std::os::unix::fs::symlink(target, link).unwrap();
        assert_eq!(inner.text(name), None, "{name}");
    }
    assert_eq!(source.text("in/out.txt").as_deref(), Some("s"));
    assert!(source.line_hash("in/a.txt", 1).is_some());
    assert_eq!(source.line_hash("in/a.txt", 2), None);
}

#[test]
fn layers_and_instructions_are_matched_in_one_pass() {
    // Comparing each of one with all of the other takes minutes.
    let count = 40_000;
    let text: Vec<_> = (0..count).map(|i| format!("RUN a{i}\n")).collect();
    let text = text.concat();
    let (_directory, source) = workspace(&[("Dockerfile", &format!("FROM b\n{text}"))]);
    let history: Vec<_> = (0..count)
        .map(|i| json!({"created_by": format!("RUN /bin/sh -c a{i} # buildkit")}))
        .collect();
    let ids: Vec<_> = (0..count).map(|i| format!("sha256:{i}")).collect();
    let metadata = json!({"DiffIDs": ids, "ImageConfig": {"history": history}});
    let metadata: Metadata = serde_json::from_value(metadata).unwrap();
    let locator = Locator::new("app", "", &source).built_from("Dockerfile", &metadata);
    let os = result("os-pkgs", "debian", "app");
    let location = locator.package(&os, ("a", "1"), "", &layer("sha256:39999"), None);
    assert_eq!(shown(&location), "Dockerfile:40001-40001");
}

#[test]
fn one_package_in_many_versions_is_looked_up_once() {
    let count = 100_000;
    let text: Vec<_> = (0..count).map(|i| format!("flask==1.{i}\n")).collect();
    let text = text.concat();
    let (_directory, source) = workspace(&[("requirements.txt", &text)]);
    let locator = Locator::new("repository", "", &source);
    let pip = result("lang-pkgs", "pip", "requirements.txt");
    let none = Layer::default();
    for i in 0..count {
        let version = format!("1.{i}");
        let location = locator.package(&pip, ("flask", &version), "", &none, None);
        assert_eq!(location.line, i + 1);
    }
}
