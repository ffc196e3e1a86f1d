//! What a pull request can make a step tell.

use std::os::unix::fs::symlink;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fake_github::GitHub;
use testkit::{FakeRunner, Ran};

use crate::github::pull_request;
use crate::step::{REPORT, step, trivy};

const TOKEN: &str = "ghs_a_token-of*the|run";
const RUNTIME: &str = "runtime-token_of-the-run";

fn with_secrets(step: FakeRunner) -> FakeRunner {
    step.input("token", TOKEN)
        .env("ACTIONS_RUNTIME_TOKEN", RUNTIME)
}

/// Everything that leaves the step, without the commands that tell the runner what to mask.
fn everything(step: &FakeRunner, ran: &Ran) -> String {
    let log = ran
        .log
        .lines()
        .filter(|line| !line.starts_with("::add-mask::"));
    let mut all: Vec<String> = log.map(ToOwned::to_owned).collect();
    all.push(ran.summary.clone());
    all.extend(ran.outputs.values().cloned());
    for entry in std::fs::read_dir(step.workspace()).unwrap().flatten() {
        if let Ok(text) = std::fs::read_to_string(entry.path()) {
            all.push(text);
        }
    }
    all.join("\n")
}

#[test]
fn an_ignore_file_is_a_file_of_the_workspace() {
    for target in [
        "/proc/self/environ",
        "/etc/hosts",
        "/dev/zero",
        "../event.json",
        "/",
    ] {
        let step = with_secrets(step());
        symlink(target, step.workspace().join(".trivyignore")).unwrap();
        let ran = step.run();
        assert_eq!(ran.code, 3, "{target}: {}", ran.log);
        assert!(
            ran.error().contains("input `ignore-file`: `.trivyignore`"),
            "{}",
            ran.error()
        );
        let all = ran.log.replace(&format!("::add-mask::{TOKEN}"), "") + &ran.summary;
        assert!(
            !all.contains("of*the") && !all.contains("of-the-run"),
            "{all}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_finding_is_nowhere_in_the_results() {
    let forms = [
        TOKEN.to_owned(),
        RUNTIME.to_owned(),
        STANDARD.encode(format!("x-access-token:{TOKEN}")),
        TOKEN.replace('*', "%2A").replace('|', "%7C"),
        "https://me:in-a-url@example.com".to_owned(),
    ];
    let report = REPORT
        .replace("DTLS buffer", &forms.join(" "))
        .replace("zlib1g", TOKEN);
    let server = GitHub::start(TOKEN).await.unwrap();
    let base = with_secrets(step()).tool("trivy", &trivy(&report));
    let step = pull_request(base)
        .input("comment", "true")
        .env("GITHUB_API_URL", &server.url());
    let (step, ran) = tokio::task::spawn_blocking(move || {
        let ran = step.run();
        (step, ran)
    })
    .await
    .unwrap();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let mut all = everything(&step, &ran);
    all.push_str(&format!("{:?}{:?}", server.uploads(), server.comments()));
    assert!(
        all.contains("***") && all.contains("CVE-2026-84782"),
        "{all}"
    );
    let base64 = STANDARD.encode(format!("x-access-token:{TOKEN}"));
    for secret in [
        "of*the",
        "of\\*the",
        "of%2Athe",
        "of-the-run",
        "in-a-url",
        &base64,
    ] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[test]
fn a_file_name_with_a_carriage_return_is_no_command() {
    let hostile = "a\\r::stop-commands::pwn\\r::add-mask::x\\u2028::error::y\\u001b[2K";
    let report = REPORT
        .replace("app:1 (debian 13.8)", hostile)
        .replace("zlib1g", hostile);
    let ran = step().tool("trivy", &trivy(&report)).run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let lines = ran.log.split(['\n', '\r']);
    let commands: Vec<_> = lines
        .filter(|line| line.trim_start().starts_with("::"))
        .collect();
    let known = |line: &&str| {
        let known = [
            "::group::",
            "::endgroup::",
            "::warning",
            "::notice",
            "::stop-commands::stop-",
            "::stop-",
        ];
        known.iter().any(|start| line.starts_with(start))
    };
    assert!(commands.iter().all(known), "{commands:?}");
    assert!(
        !ran.log.contains(['\r', '\u{1b}', '\u{2028}']),
        "{}",
        ran.log
    );
}
