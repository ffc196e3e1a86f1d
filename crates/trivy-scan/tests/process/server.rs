//! `trivy-server`: the database of a server.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use axum::body::Body;
use axum::response::Response;
use serde_json::Value;
use testkit::{FakeRunner, Recorder};

use crate::real::{folder_of, real, save, succeed};
use crate::step::{scans, step};

/// What a server responds to a request of its version, with a database of this age.
fn version(hours: i64) -> String {
    let made = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
    format!(
        r#"{{"Version":"0.72.0","VulnerabilityDB":{{"Version":2,"UpdatedAt":"{made}","NextUpdate":"2100-01-01T00:00:00Z"}}}}"#
    )
}

fn respond(status: u16, header: Option<(&str, &str)>, body: String) -> Response {
    let builder = Response::builder().status(status);
    let builder = match header {
        Some((name, value)) => builder.header(name, value),
        None => builder,
    };
    builder.body(Body::from(body)).unwrap()
}

/// Run `step` with a server that responds like this; its address is `http://SERVER` in the result.
fn with_server(
    step: FakeRunner,
    response: impl Fn() -> Response + Send + Sync + 'static,
) -> (testkit::Ran, Vec<String>, FakeRunner) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Recorder::start(move |_| response()));
    let server = server.unwrap();
    let step = step.input("trivy-server", &format!("http://{}", server.host()));
    let mut ran = step.run();
    ran.log = ran.log.replace(&server.host(), "SERVER");
    ran.summary = ran.summary.replace(&server.host(), "SERVER");
    let requests = server.seen().into_iter().map(|seen| seen.line).collect();
    (ran, requests, step)
}

#[test]
fn a_server_has_the_database_and_trivy_alone_gets_its_token() {
    let step = step().input("trivy-server-token", "server-token");
    std::fs::remove_dir_all(step.directory().join("home/.cache")).unwrap();
    let (ran, requests, step) = with_server(step, || respond(200, None, version(30)));
    assert_eq!(
        (ran.code, ran.output("database-age")),
        (0, "30"),
        "{}",
        ran.log
    );
    assert_eq!(requests, ["GET /version"]);
    let scans = scans(&step).join("\n");
    assert!(scans.contains(" --server http://127.0.0.1:"), "{scans}");
    let environment = std::fs::read_to_string(step.directory().join("tools/env")).unwrap();
    assert!(
        environment.contains("TRIVY_TOKEN=server-token\n"),
        "{environment}"
    );
    for text in [
        &scans,
        &ran.log.replace("::add-mask::server-token", ""),
        &ran.summary,
    ] {
        assert!(!text.contains("server-token"), "{text}");
    }
    let expected = "30 h old, of the server at `http://SERVER` with Trivy 0.72.0";
    assert!(ran.summary.contains(expected), "{}", ran.summary);
}

#[test]
fn without_a_server_that_has_a_recent_database_there_is_no_verdict() {
    type Case = (fn() -> Response, &'static str);
    let table: [Case; 6] = [
        (
            || {
                respond(
                    302,
                    Some(("location", "http://192.0.2.1/version")),
                    String::new(),
                )
            },
            "failed to use the Trivy server at `http://SERVER` (`trivy-server`): it redirects to another address; use that one",
        ),
        (
            || respond(503, None, String::new()),
            "(`trivy-server`): it responded with 503 Service Unavailable",
        ),
        (
            || respond(200, None, "<html>".to_owned()),
            "(`trivy-server`): it is not a Trivy server",
        ),
        (
            || respond(200, None, r#"{"Version":"0.72.0"}"#.to_owned()),
            "(`trivy-server`): it has no vulnerability database",
        ),
        (
            || respond(200, None, version(0).replace("0.72.0", "0.69.5")),
            "Trivy 0.69.5 is one of the versions that were published by an attacker",
        ),
        (
            || respond(200, None, version(60)),
            "the vulnerability database is 60 h old, over the `max-database-age` of 48 h; the server at `trivy-server` has not updated it",
        ),
    ];
    for (response, expected) in table {
        let (ran, ..) = with_server(step(), response);
        assert_eq!(
            (ran.code, ran.output("result")),
            (2, "error"),
            "{}",
            ran.log
        );
        assert!(ran.error().contains(expected), "{}", ran.error());
    }
    let ran = step().input("trivy-server", "http://127.0.0.1:9").run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    let start =
        "trivy-scan: failed to use the Trivy server at `http://127.0.0.1:9` (`trivy-server`): ";
    assert!(ran.error().starts_with(start), "{}", ran.error());
}

#[test]
fn a_server_of_another_version_is_a_warning() {
    let (ran, ..) = with_server(step(), || {
        respond(200, None, version(0).replace("0.72.0", "0.70.0"))
    });
    assert_eq!(ran.code, 0, "{}", ran.log);
    let expected =
        "::warning::the server at `trivy-server` has Trivy 0.70.0, and this step has 0.72.0";
    assert!(ran.log.contains(expected), "{}", ran.log);
}

/// The real server, with the database of `step`; it ends with the test.
struct RealServer {
    process: Child,
    url: String,
}

impl RealServer {
    fn start(step: &FakeRunner) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap().to_string();
        drop(port);
        // It keeps what it is sent in a cache of its own.
        let cache = step.directory().join("server");
        succeed(
            Command::new("cp")
                .arg("-r")
                .arg(step.directory().join("cache"))
                .arg(&cache),
        );
        let process = Command::new(folder_of("trivy").join("trivy"))
            .args([
                "server",
                "--skip-db-update",
                "--token",
                "right",
                "--listen",
                &address,
            ])
            .arg("--cache-dir")
            .arg(&cache)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://{address}");
        let healthy = || {
            let mut request = Command::new("curl");
            request.args(["--silent", "--fail", "--output", "/dev/null"]);
            request.arg(format!("{url}/healthz"));
            request.status().unwrap().success()
        };
        let started = std::time::Instant::now();
        while !healthy() {
            assert!(
                started.elapsed().as_secs() < 60,
                "the server does not start"
            );
            std::thread::yield_now();
        }
        Self { process, url }
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The report, without what is new in every run and what names the server.
fn report(step: &FakeRunner, number: usize) -> String {
    let name = match number {
        0 => "trivy-report.json".to_owned(),
        number => format!("trivy-report-{}.json", number + 1),
    };
    let text = std::fs::read_to_string(step.workspace().join(name)).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let is_own = |line: &&str| {
        let keys = ["ReportID", "CreatedAt"].map(|key| report[key].as_str());
        !keys.into_iter().flatten().any(|value| line.contains(value))
    };
    let text: Vec<_> = text.lines().filter(is_own).collect();
    let text = text.join("\n");
    // What Trivy says of the server in the report.
    match (text.find("    \"Server\": {"), text.find("\n  },")) {
        (Some(from), Some(to)) if from < to => {
            format!(
                "{}{}",
                text[..from].trim_end().trim_end_matches(','),
                &text[to..]
            )
        }
        _ => text,
    }
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_real_server_gives_the_report_that_the_database_here_gives() {
    let prepare = |step: FakeRunner| {
        let step = step
            .file("requirements.txt", "jinja2==3.1.2\n")
            .file("key.txt", "key = \"AKIAIOSFODNN7EXAMPL3\"\n");
        save(&step.workspace().join("app.tar"), "app:1", "hello");
        let sbom = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{"type":"library","name":"jinja2","version":"3.1.2","purl":"pkg:pypi/jinja2@3.1.2","bom-ref":"a"}]}"#;
        step.file("app.cdx.json", sbom)
            .input("targets", "archive app.tar\nfs .\nsbom app.cdx.json")
    };
    // The paths of the targets are in the report.
    let step = prepare(real());
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert!(
        ran.output("total").parse::<usize>().unwrap() > 20,
        "{}",
        ran.log
    );
    let local = [0, 1, 2].map(|number| report(&step, number));

    let server = RealServer::start(&step);
    // What the server has is not here.
    std::fs::remove_dir_all(step.directory().join("cache/db")).unwrap();
    let remote = step
        .input("trivy-server", &server.url)
        .input("trivy-server-token", "right");
    let there = remote.run();
    assert_eq!(there.code, 0, "{}", there.log);
    for output in ["total", "critical", "high", "medium", "low", "fixable"] {
        assert_eq!(there.output(output), ran.output(output), "{output}");
    }
    for (number, local) in local.iter().enumerate() {
        assert_same(local, &report(&remote, number));
    }

    let rejected = remote.input("trivy-server-token", "wrong").run();
    assert_eq!(rejected.code, 2, "{}", rejected.log);
    let expected = format!(
        "the Trivy server at `{}` failed; check `trivy-server` and `trivy-server-token`",
        server.url
    );
    assert!(
        rejected.error().contains(&expected) && rejected.error().contains("invalid token"),
        "{}",
        rejected.error()
    );
}

fn assert_same(local: &str, remote: &str) {
    let difference: Vec<_> = local
        .lines()
        .zip(remote.lines())
        .filter(|(one, other)| one != other)
        .take(20)
        .collect();
    assert!(local == remote, "{difference:#?}");
}
