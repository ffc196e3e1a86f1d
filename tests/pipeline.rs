//! Code → Build → Scan → Patch → Push → Deploy → Serve, for real.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use pipeline_tests::{changed, pipeline, program, root};
use serde_json::Value;

/// The application's address, after the pipeline has run once. A failure is not retried.
fn served() -> &'static str {
    static ADDRESS: OnceLock<Result<String, String>> = OnceLock::new();
    let address = ADDRESS.get_or_init(|| {
        let ran = pipeline(&root());
        let log = text(&ran);
        let line = log
            .lines()
            .filter(|line| ran.status.success() && line.starts_with("http://"))
            .find_map(|line| line.strip_suffix(" serves"));
        line.map(ToOwned::to_owned).ok_or(log)
    });
    match address {
        Ok(address) => address,
        Err(log) => panic!("the pipeline did not serve:\n{log}"),
    }
}

fn text(ran: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    )
}

fn get(url: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let http = http_client::Client::new().expect("a client");
        let response = http.get(url).send().await.expect("a response");
        assert!(
            response.status().is_success(),
            "{url}: {}",
            response.status()
        );
        response.text(8 * 1024 * 1024).await.expect("a body")
    })
}

fn commit() -> String {
    let health: Value = serde_json::from_str(&get(&format!("{}/health", served()))).expect("JSON");
    assert_eq!(health["status"], "ok");
    health["commit"].as_str().expect("a commit").to_owned()
}

/// Whether Debian has a newer OpenSSL than the base image: its updates fix vulnerabilities. A base image that was pulled
/// today may have nothing to patch.
fn is_aged() -> bool {
    let script = "apt-get update -qq && apt-get --simulate --only-upgrade install libssl3t64";
    let simulated = std::process::Command::new("docker")
        .args(["run", "--rm", "debian:trixie-slim", "sh", "-c", script])
        .output()
        .expect("docker starts");
    assert!(simulated.status.success(), "{}", text(&simulated));
    text(&simulated)
        .lines()
        .any(|line| line.starts_with("Inst "))
}

// What the deployment got from the steps before it, and the page from the deployment.
fn the_page_has_every_fact(patched: bool) {
    let facts: Value = serde_json::from_str(&get(&format!("{}/version", served()))).expect("JSON");
    let page = get(served());
    for stage in ["Code", "Build", "Scan", "Patch", "Push", "Deploy", "Serve"] {
        assert_eq!(facts["stages"][stage], true, "{stage}: {facts}");
    }
    for fact in ["commit", "digest"] {
        let fact = facts[fact].as_str().expect("a text");
        assert!(page.contains(fact), "{fact}: {page}");
    }
    let log = if patched { "yes" } else { "no, nothing to fix" };
    let log = format!("<dt>Patched</dt><dd>{log}</dd>");
    assert!(page.contains(&log), "{log}: {page}");
    let total = |when: &str| -> u64 {
        let counts = facts["scan"][when].as_object().expect("counts");
        assert_eq!(counts.len(), 5, "{facts}");
        counts.values().filter_map(Value::as_u64).sum()
    };
    assert_eq!(total("before") > total("after"), patched, "{facts}");
    let time = |name: &str| facts[name].as_str().expect("a time").to_owned();
    assert!(time("built") < time("deployed"), "{facts}");
}

#[test]
#[ignore = "real: needs the local stack"]
fn the_application_serves_what_was_patched_and_the_security_tab_knows() {
    assert_eq!(commit().len(), 40);
    assert!(get(served()).contains("is serving"));
    let patched = is_aged();
    the_page_has_every_fact(patched);
    let security = get("http://127.0.0.1:7070/security");
    assert!(
        security.contains("image/flask-app") && security.contains("CVE-"),
        "{security}"
    );
    // What was patched is closed, not only reported.
    assert!(!patched || security.contains(" fixed</span>"), "{security}");
}

#[test]
#[ignore = "real: needs the local stack"]
fn a_commit_that_breaks_the_application_is_red_and_the_previous_version_serves_on() {
    let before = commit();
    let broken = changed(
        "app/flask_app/__init__.py",
        "return jsonify(status=\"ok\"",
        "raise RuntimeError(\"broken\")\n        return jsonify(status=\"ok\"",
    );
    let ran = pipeline(broken.path());
    assert!(!ran.status.success());
    let log = text(&ran);
    assert!(
        log.contains("error: test_health_reports_the_running_version: assert 500 == 200"),
        "{log}"
    );
    assert_eq!(commit(), before);
}

#[test]
#[ignore = "real: needs the local stack"]
fn a_commit_that_fails_only_in_the_cluster_is_rolled_back_and_red() {
    let before = commit();
    let broken = changed(
        "k8s/deployment.yaml",
        "          imagePullPolicy:",
        "          command: [\"/opt/venv/bin/python\", \"-c\", \"import flaskk\"]\n          imagePullPolicy:",
    );
    let ran = pipeline(broken.path());
    assert!(!ran.status.success());
    let log = text(&ran);
    assert!(
        log.contains(
            "the new version failed; rolled back to `seaworthy.azurecr.io/flask-app@sha256:"
        ),
        "{log}"
    );
    assert!(
        log.contains("container `app` is crash-looping (exit code 1)"),
        "{log}"
    );
    assert_eq!(commit(), before);
}

#[test]
#[ignore = "real: needs the local stack, and crane"]
fn the_deployed_image_is_whole_judged_by_crane() {
    let facts: Value = serde_json::from_str(&get(&format!("{}/version", served()))).expect("JSON");
    let digest = facts["digest"].as_str().expect("a digest");
    let config = tempfile::tempdir().expect("a temporary directory");
    let state = std::env::var("SEAWORTHY_STATE").expect("the state of the stack");
    let password = Command::new(program("local-services"))
        .arg("registry-password")
        .output()
        .expect("local-services starts");
    let crane = |args: &[&str]| {
        let mut crane = Command::new("crane")
            .args(args)
            .env("DOCKER_CONFIG", config.path())
            .env("SSL_CERT_FILE", format!("{state}/tls/ca.crt"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("crane starts");
        let mut stdin = crane.stdin.take().expect("a pipe");
        stdin.write_all(&password.stdout).expect("the password");
        drop(stdin);
        let done = crane.wait_with_output().expect("crane exits");
        assert!(done.status.success(), "{}", text(&done));
    };
    let user = "00000000-0000-0000-0000-000000000000";
    let registry = "seaworthy.azurecr.io";
    crane(&[
        "auth",
        "login",
        registry,
        "--username",
        user,
        "--password-stdin",
    ]);
    // Every layer has the digest and the size of the manifest, and the content that the configuration names.
    let image = format!("{registry}/flask-app@{digest}");
    crane(&["validate", "--remote", &image]);
}
