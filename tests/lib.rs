//! What the tests of the whole pipeline share: the command `xtask`, and working trees to run it on.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The root of the checkout.
///
/// # Panics
/// Never: the package is one directory below it.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the package is below the root").to_owned()
}

/// The names of the actions.
///
/// # Panics
/// When the list can't be read.
pub fn actions() -> Vec<String> {
    let list = std::fs::read_to_string(root().join("actions/actions.txt"));
    let list = list.expect("the list of actions");
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// A program that was built with the tests.
///
/// # Panics
/// When the tests were not started by Cargo.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    test.ancestors()
        .nth(2)
        .expect("it is in the target directory")
        .join(name)
}

/// Run the deployment workflow on the tree `source`.
///
/// # Panics
/// When it can't be started.
pub fn pipeline(source: &Path) -> Output {
    let mut xtask = Command::new(program("xtask"));
    xtask
        .args(["pipeline", "--source"])
        .arg(source)
        .output()
        .expect("xtask starts")
}

/// Run the workflow `path` on the tree `source`, for `event`.
///
/// # Panics
/// When it can't be started.
pub fn workflow(source: &Path, path: &str, event: &str) -> Output {
    let mut xtask = Command::new(program("xtask"));
    xtask
        .args(["workflow", path, "--event", event, "--source"])
        .arg(source)
        .output()
        .expect("xtask starts")
}

/// The directory in which the local stack keeps its logs.
///
/// # Panics
/// When the tests were not started by `cargo xtask test`.
pub fn state() -> PathBuf {
    std::env::var_os("SEAWORTHY_STATE")
        .expect("the state of the stack")
        .into()
}

/// What the local GitHub responds to a request for the path of its repository: `GET` without a body, else `PATCH`.
///
/// # Panics
/// When it responds with an error.
pub fn github(path: &str, body: Option<&Value>) -> Value {
    let url = format!("http://{}/repos/octo-org/app/{path}", xtask::stack::GITHUB);
    let bearer = format!("authorization: Bearer {}", xtask::stack::GITHUB_TOKEN);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail-with-body", "--header"]);
    curl.arg(bearer);
    if let Some(body) = body {
        curl.args(["--request", "PATCH", "--data"])
            .arg(body.to_string());
        curl.args(["--header", "content-type: application/json"]);
    }
    let done = curl.arg(url).output().expect("curl starts");
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{path}: {text}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    serde_json::from_str(&text).expect("JSON")
}

/// Commit everything in `directory`, whose repository [`changed`] made.
///
/// # Panics
/// When git fails.
pub fn commit(directory: &Path) {
    git(&["add", "--all"], directory);
    let identity = ["-c", "user.name=tests", "-c", "user.email=tests@localhost"];
    let commit = ["commit", "--quiet", "--message=a change"];
    git(&[&identity[..], &commit].concat(), directory);
}

fn git(args: &[&str], at: &Path) -> Vec<u8> {
    let done = Command::new("git")
        .args(args)
        .current_dir(at)
        .output()
        .expect("git starts");
    assert!(
        done.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    done.stdout
}

/// A copy of the working tree in which `from` is `to` in the file `name`.
///
/// # Panics
/// When the file does not have it.
pub fn changed(name: &str, from: &str, to: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let listed = git(
        &[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        &root(),
    );
    for path in listed.split(|b| *b == 0).filter(|path| !path.is_empty()) {
        let path = String::from_utf8_lossy(path).into_owned();
        let (source, target) = (root().join(&path), directory.path().join(&path));
        if source.is_file() {
            std::fs::create_dir_all(target.parent().expect("a directory")).expect("a directory");
            std::fs::copy(source, target).expect("a copy");
        }
    }
    let file = directory.path().join(name);
    let text = std::fs::read_to_string(&file).expect("the file to change");
    assert!(text.contains(from), "`{name}` has no `{from}`");
    std::fs::write(&file, text.replace(from, to)).expect("the changed file");
    git(&["init", "--quiet"], directory.path());
    directory
}
