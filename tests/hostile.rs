//! A stranger's pull request, against the local services: its files try to make the actions tell what they hold, to
//! steer the job log, and to reach people through the comment.

use std::os::unix::fs::symlink;
use std::path::Path;

use pipeline_tests::{changed, commit, github, program, state, workflow};

const DOCKERFILE: &str = "app/Dockerfile";
/// A fake key, which Trivy finds; the parts are apart so that it is not found here.
const KEY: [&str; 2] = ["AKIA", "3K7VHRDRUEQ5OXPZ"];

/// A test that prints all it can reach, and fails with a message for GitHub to render.
const TEST: &str = r#"
import base64, os, pathlib, socket

def test_hostile():
    for name in ("self", "1"):
        try:
            print(pathlib.Path(f"/proc/{name}/environ").read_text())
        except OSError as error:
            print(error)
    print(dict(os.environ))
    print("::set-env name=PATH::/evil\r::add-mask::a\u2028::error::b")
    print("\x1b]0;title\x07 ::stop-commands::pwn")
    reached = os.path.exists("/var/run/docker.sock") or connects()
    assert not reached, "REA" + "CHED"
    stolen = pathlib.Path("/tmp/stolen").read_text()
    print(stolen, base64.b64encode(("x:" + stolen).encode()))
    assert False, stolen + "@octo-team fixes #1 </details><img src=https://evil.example/p.png> ![x](https://evil.example)"

def connects():
    try:
        socket.create_connection(("127.0.0.1", 7070), 1)
        return True
    except OSError:
        return False
"#;

// A tree with the files of the attack, committed: links stay links.
fn tree() -> tempfile::TempDir {
    let attack = "FROM build AS test\nRUN --mount=type=secret,id=token,mode=0444 env; cat /proc/self/environ /proc/1/environ; cp /run/secrets/token /tmp/stolen; chmod 444 /tmp/stolen";
    let tree = changed(DOCKERFILE, "FROM build AS test", attack);
    let app = tree.path().join("app");
    let write = |name: &str, text: &str| {
        let path = app.join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, text).expect("a hostile file");
    };
    write("tests/test_hostile.py", TEST);
    write(
        "a\r::add-mask::x\r::error::pwned/key.py",
        &format!("key = \"{}\"\n", KEY.concat()),
    );
    write("trivy-secret.yaml", "disable-rules: [aws-access-key-id]\n");
    write(
        "trivy.yaml",
        "scan:\n  skip-dirs: [\".\"]\nserver:\n  addr: http://127.0.0.1:9\n",
    );
    write(
        "reasons.txt",
        "# @octo-team fixes #1 https://evil.example\nCVE-2000-0001\n",
    );
    write(
        "manifests/pod.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hostile}\n",
    );
    link("/proc/self/environ", &app.join("link.txt"));
    link("/proc/self/environ", &app.join("manifests/environ.yaml"));
    let workflow = include_str!("hostile/workflow.yml");
    std::fs::write(tree.path().join(".github/workflows/hostile.yml"), workflow)
        .expect("the workflow");
    commit(tree.path());
    tree
}

fn link(target: &str, path: &Path) {
    symlink(target, path).expect("a link");
}

/// The comments on the pull request, through the API of the local GitHub.
fn comments() -> String {
    let comments = github("issues/1/comments?per_page=100", None);
    let bodies = comments.as_array().into_iter().flatten();
    let bodies = bodies.map(|comment| comment["body"].as_str().unwrap_or_default());
    bodies.collect::<Vec<_>>().join("\n")
}

/// What GitHub renders of `markdown` outside of blocks of code, where nothing has a meaning: not the lines by which a comment is
/// found again.
fn outside_of_code(markdown: &str) -> String {
    let mut fence = None;
    let mut text = String::new();
    for line in markdown.lines() {
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if line.starts_with("<!-- ") && line.ends_with(" -->") => {}
            None if line.starts_with("```") => fence = Some(line.trim_end_matches("text")),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

/// The password that the steps are given.
fn password() -> String {
    let printed = std::process::Command::new(program("local-services"))
        .arg("registry-password")
        .output()
        .expect("local-services starts");
    let password = String::from_utf8(printed.stdout).expect("UTF-8");
    assert!(password.trim().len() > 20, "a password");
    password.trim().to_owned()
}

#[test]
#[ignore = "real: needs the local stack"]
fn a_hostile_pull_request_learns_nothing() {
    let tree = tree();
    for event in ["pull_request", "pull_request_target"] {
        let ran = workflow(tree.path(), ".github/workflows/hostile.yml", event);
        let log = std::fs::read_to_string(state().join("processes/act.log")).expect("act's log");
        assert!(ran.status.success(), "{event}: {log}");
        let comments = comments();
        let password = password();
        let half = &password[..password.len() / 2];
        let tokens = [xtask::stack::OIDC_REQUEST_TOKEN, xtask::stack::GITHUB_TOKEN];
        let kubeconfig = ["client-key-data", "BEGIN RSA PRIVATE KEY"];
        for secret in tokens.into_iter().chain(kubeconfig).chain([half]) {
            assert!(
                !log.contains(secret),
                "{event}: `{secret}` is in the log: {log}"
            );
            assert!(
                !comments.contains(secret),
                "{event}: `{secret}` is in a comment: {comments}"
            );
        }
        assert!(!log.contains("REACHED"), "{event}: {log}");
        // The settings that the tree brings do not hide what is in it.
        let found = "secret `app`: 1 critical";
        assert!(comments.contains(found), "{event}: {comments}");
        let text = outside_of_code(&comments);
        for live in ["@octo-team", "#1 ", "https://evil.example", "<img", "\r"] {
            assert!(!text.contains(live), "{event}: `{live}` is live: {text}");
        }
    }
}
