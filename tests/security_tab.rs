//! A finding on its way through the Security tab: a pull request, the merge queue, the decision of a person, the fix.

use std::fmt::Write as _;
use std::process::Command;

use pipeline_tests::{changed, commit, github, root, state, workflow};
use serde_json::{Value, json};

const WORKFLOW: &str = "tests/security_tab/workflow.yml";

/// A tree whose project requires `packages`, and which is scanned in a category that no other run has.
struct Tree {
    directory: tempfile::TempDir,
    category: String,
}

impl Tree {
    fn new() -> Self {
        let category = format!("security-tab-{}", std::process::id());
        let of_run = format!("category: {category}");
        Self {
            directory: changed(WORKFLOW, "category: security-tab", &of_run),
            category,
        }
    }

    /// Run the workflow for `event` with these packages; whether it succeeds, and its log.
    fn run(&self, event: &str, packages: &[&str]) -> (bool, String) {
        let shop = self.directory.path().join("shop");
        std::fs::create_dir_all(&shop).expect("a directory");
        let file = shop.join("requirements.txt");
        std::fs::write(file, packages.join("\n") + "\n").expect("a file");
        // Packages that were there before are a tree without a change.
        let marker = shop.join("event");
        std::fs::write(marker, format!("{event} {packages:?}")).expect("a file");
        commit(self.directory.path());
        let ran = workflow(self.directory.path(), WORKFLOW, event);
        let log = std::fs::read_to_string(state().join("processes/act.log")).expect("act's log");
        (ran.status.success(), log)
    }

    /// The alerts of `git_ref` by their rules, with their states.
    fn alerts(&self, git_ref: &str) -> Vec<(String, String, u64)> {
        let path = format!("code-scanning/alerts?per_page=100&ref={git_ref}");
        let alerts = github(&path, None);
        let of_tree = |alert: &&Value| {
            let category = alert["most_recent_instance"]["category"].as_str();
            category == Some(&*self.category)
        };
        let alerts = alerts.as_array().expect("a list").iter().filter(of_tree);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut alerts: Vec<_> = alerts
            .map(|alert| {
                let number = alert["number"].as_u64().expect("a number");
                (text(&alert["rule"]["id"]), text(&alert["state"]), number)
            })
            .collect();
        alerts.sort();
        alerts
    }

    /// The states on `git_ref`, `CVE-2023-30861 open`.
    fn states(&self, git_ref: &str) -> String {
        let mut text = String::new();
        for (rule, state, _) in self.alerts(git_ref) {
            let _ = writeln!(text, "{rule} {state}");
        }
        text
    }

    /// Open the page of the alerts on `git_ref` in a browser, which has to show `alerts`: the state of each, and texts in its
    /// row. The picture is `security-tab-NAME.png` in the state of the stack.
    ///
    /// Nothing is opened where `cargo xtask test` has not provided the browser's Python.
    fn look(&self, name: &str, git_ref: &str, alerts: &[(&str, &[&str])]) {
        let Some(python) = std::env::var_os("SEAWORTHY_BROWSER_PYTHON") else {
            return;
        };
        let picture = state().join(format!("security-tab-{name}.png"));
        let page = format!("http://{}/security", xtask::stack::GITHUB);
        let mut browser = Command::new(python);
        browser
            .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider"])
            .args(["--rootdir=tests/security_tab", "tests/security_tab"])
            .current_dir(root())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SECURITY_TAB_URL", page)
            .env("SECURITY_TAB_CATEGORY", &self.category)
            .env("SECURITY_TAB_REF", git_ref)
            .env("SECURITY_TAB_ALERTS", json!(alerts).to_string())
            .env("SECURITY_TAB_SCREENSHOT", &picture);
        let ran = browser.output().expect("Python starts");
        assert!(
            ran.status.success(),
            "{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
        assert!(picture.is_file(), "there is a picture");
    }
}

const FLASK: &str = "CVE-2023-30861";
const GUNICORN: &str = "CVE-2024-1135";

#[test]
#[ignore = "real: needs the local stack"]
fn a_finding_is_new_in_a_pull_request_then_accepted_or_fixed() {
    let tree = Tree::new();
    let old = ["flask==2.2.2"];
    let both = ["flask==2.2.2", "gunicorn==21.2.0"];
    let (main, pull) = ("refs/heads/main", "refs/pull/1/merge");

    let (passed, log) = tree.run("push", &old);
    assert!(passed, "{log}");
    assert_eq!(tree.states(main), format!("{FLASK} open\n"));

    // What main has does not fail the change, and what the change adds does.
    let (passed, log) = tree.run("pull_request", &both);
    assert!(
        !passed && log.contains("1 new finding of severity high or worse"),
        "{log}"
    );
    assert_eq!(
        tree.states(pull),
        format!("{FLASK} open\n{GUNICORN} open\n")
    );
    assert_eq!(tree.states(main), format!("{FLASK} open\n"));

    // An entry of the queue has the same verdict, and changes no alert.
    let (passed, log) = tree.run("merge_group", &both);
    assert!(
        !passed && log.contains("1 new finding of severity high or worse"),
        "{log}"
    );
    assert!(
        log.contains("an entry of a merge queue changes no branch"),
        "{log}"
    );
    assert_eq!(tree.states(main), format!("{FLASK} open\n"));
    let (passed, log) = tree.run("merge_group", &old);
    assert!(passed, "{log}");

    // It is merged all the same.
    let (passed, log) = tree.run("push", &both);
    assert!(passed, "{log}");
    assert_eq!(
        tree.states(main),
        format!("{FLASK} open\n{GUNICORN} open\n")
    );
    let (passed, log) = tree.run("workflow_dispatch", &both);
    assert!(
        !passed && log.contains("2 findings of severity high or worse"),
        "{log}"
    );

    let lock_file = "requirements.txt:";
    let before: [(&str, &[&str]); 2] = [
        ("open", &[FLASK, "high", "flask@2.2.2", lock_file]),
        ("open", &[GUNICORN, "high", "gunicorn@21.2.0", lock_file]),
    ];
    tree.look("before", main, &before);

    // One is dismissed by a person, and the other is fixed.
    let alerts = tree.alerts(main);
    let (_, _, number) = alerts
        .iter()
        .find(|(rule, ..)| rule == GUNICORN)
        .expect("its alert");
    let decision = json!({"state": "dismissed", "dismissed_reason": "won't fix", "dismissed_comment": "behind a proxy"});
    github(&format!("code-scanning/alerts/{number}"), Some(&decision));
    let fixed = ["flask==2.2.5", "gunicorn==21.2.0"];
    let (passed, log) = tree.run("push", &fixed);
    assert!(passed, "{log}");
    assert_eq!(
        tree.states(main),
        format!("{FLASK} fixed\n{GUNICORN} dismissed\n")
    );
    let decision = "won't fix by octocat: behind a proxy";
    let after: [(&str, &[&str]); 2] = [
        ("dismissed", &[GUNICORN, "gunicorn@21.2.0", decision]),
        ("fixed", &[FLASK, "flask@2.2.2", lock_file]),
    ];
    tree.look("after", main, &after);
    let (passed, log) = tree.run("workflow_dispatch", &fixed);
    assert!(passed, "{log}");
    assert!(
        log.contains("1 finding dismissed on GitHub: accepted by the gate"),
        "{log}"
    );
}
