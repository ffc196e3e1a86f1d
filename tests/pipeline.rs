//! Code → Build → Scan → Patch → Push → Deploy → Serve, for real.

use std::process::Output;
use std::sync::OnceLock;

use pipeline_tests::{changed, pipeline, root};
use serde_json::Value;

/// The application's address, after the pipeline has run once. What failed once is not tried again.
fn served() -> &'static str {
    static ADDRESS: OnceLock<Result<String, String>> = OnceLock::new();
    let address = ADDRESS.get_or_init(|| {
        let ran = pipeline(&root());
        let said = text(&ran);
        let line = said
            .lines()
            .filter(|line| ran.status.success() && line.starts_with("http://"))
            .find_map(|line| line.strip_suffix(" serves"));
        line.map(ToOwned::to_owned).ok_or(said)
    });
    match address {
        Ok(address) => address,
        Err(said) => panic!("the pipeline did not serve:\n{said}"),
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
        let http = actions_toolkit::http_client().expect("a client");
        let answer = http.get(url).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
        answer.text().await.expect("a body")
    })
}

fn commit() -> String {
    let health: Value = serde_json::from_str(&get(&format!("{}/health", served()))).expect("JSON");
    assert_eq!(health["status"], "ok");
    health["commit"].as_str().expect("a commit").to_owned()
}

/// Whether Debian has a newer OpenSSL than the base image: its updates mend vulnerabilities. A base image that was pulled
/// today may have nothing to patch.
fn is_aged() -> bool {
    let script = "apt-get update -qq && apt-get --simulate --only-upgrade install libssl3t64";
    let asked = std::process::Command::new("docker")
        .args(["run", "--rm", "debian:trixie-slim", "sh", "-c", script])
        .output()
        .expect("docker starts");
    assert!(asked.status.success(), "{}", text(&asked));
    text(&asked).lines().any(|line| line.starts_with("Inst "))
}

// What the deployment was given by the steps before it, and the page by the deployment.
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
    let said = if patched {
        "yes"
    } else {
        "no, nothing to fix"
    };
    let said = format!("<dt>Patched</dt><dd>{said}</dd>");
    assert!(page.contains(&said), "{said}: {page}");
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
    // What was patched is closed, not only found.
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
    let said = text(&ran);
    assert!(
        said.contains("error: test_health_reports_the_running_version: assert 500 == 200"),
        "{said}"
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
    let said = text(&ran);
    assert!(
        said.contains("the new version was refused, and `seaworthy.azurecr.io/flask-app@sha256:"),
        "{said}"
    );
    assert!(
        said.contains("container `app` ends with exit code 1 again and again"),
        "{said}"
    );
    assert_eq!(commit(), before);
}
