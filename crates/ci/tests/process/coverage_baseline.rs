//! The coverage of the base branch, from the cache of GitHub Actions.

use testkit::Ran;

use crate::actions_cache::{self, ActionsCache};
use crate::any_image::Step;

fn tests(covered: &str) -> String {
    let lcov = format!("SF:a.js\\nDA:1,1\\nDA:2,{covered}\\nend_of_record\\n");
    format!(
        "echo '<testsuite><testcase name=\"a\"/></testsuite>' > /tmp/junit.xml; printf '{lcov}' > /tmp/lcov.info"
    )
}

// A run of the commit `sha` for a push to `main`, or for a pull request into the branch `base`.
fn run(cache: Option<&ActionsCache>, sha: &str, base: &str, command: &str) -> Ran {
    let step = Step::new("base")
        .input("test-target", "")
        .input("test-command", command)
        .input("junit-path", "/tmp/junit.xml")
        .input("coverage-path", "/tmp/lcov.info")
        .input("baseline-coverage", "auto")
        .input("health-path", "none");
    let (of_base, event) = if base.is_empty() {
        ("refs/heads/main", "push")
    } else {
        ("refs/pull/7/merge", "pull_request")
    };
    let mut runner = step
        .step
        .env("GITHUB_SHA", sha)
        .env("GITHUB_REF", of_base)
        .env("GITHUB_EVENT_NAME", event)
        .env("GITHUB_BASE_REF", base);
    if let Some(cache) = cache {
        runner = runner
            .env("ACTIONS_RESULTS_URL", &cache.url())
            .env("ACTIONS_RUNTIME_TOKEN", &actions_cache::token());
    }
    runner.run()
}

#[test]
#[ignore = "real: needs Docker"]
fn a_pull_request_is_compared_with_what_its_base_branch_has_kept() {
    let cache = ActionsCache::start();
    let before = run(Some(&cache), "1", "main", &tests("1"));
    assert_eq!(before.code, 0, "{}", before.log);
    let note = "::notice::the change of the coverage is unknown: no run for a push to the base branch has kept its coverage";
    assert_eq!(before.log.matches(note).count(), 1, "{}", before.log);
    assert_eq!(cache.keys(), Vec::<String>::new());

    // A run whose tests fail keeps nothing.
    let failed = run(Some(&cache), "2", "", "false");
    assert_ne!(failed.code, 0, "{}", failed.log);
    assert_eq!(cache.keys(), Vec::<String>::new());
    for _ in 0..2 {
        let kept = run(Some(&cache), "3", "", &tests("0"));
        assert_eq!(kept.code, 0, "{}", kept.log);
        assert_eq!(kept.output("coverage-change"), "");
        assert_eq!(cache.keys().len(), 1);
    }
    let compared = run(Some(&cache), "4", "main", &tests("1"));
    assert_eq!(
        compared.output("coverage-change"),
        "+50.00",
        "{}",
        compared.log
    );
    let change = "+50.00 from the base branch (50.00 %)";
    assert!(compared.summary.contains(change), "{}", compared.summary);
    // What another branch has kept is not that of this one.
    let other = run(Some(&cache), "5", "release/1", &tests("1"));
    assert_eq!(other.output("coverage-change"), "", "{}", other.log);
    assert_eq!(other.log.matches(note).count(), 1, "{}", other.log);
    let token = actions_cache::token();
    let shown = compared
        .log
        .lines()
        .filter(|line| !line.starts_with("::add-mask::"));
    assert!(
        !shown.collect::<String>().contains(&token),
        "{}",
        compared.log
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn without_the_cache_the_change_is_unknown() {
    for base in ["", "main"] {
        let ran = run(None, "1", base, &tests("1"));
        assert_eq!(ran.code, 0, "{}", ran.log);
        let note = "the runner offers no cache (`ACTIONS_RESULTS_URL`, `ACTIONS_RUNTIME_TOKEN`)";
        assert_eq!(ran.log.matches(note).count(), 1, "{}", ran.log);
        assert_eq!(ran.output("coverage-change"), "");
    }
}
