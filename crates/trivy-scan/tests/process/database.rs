//! The database: exit code 2 where there is none, a loud notice where it is old.

use testkit::FakeRunner;

use crate::step::{REPORT, step, trivy};

fn without_mirrors(age: &str) -> FakeRunner {
    let down = trivy(REPORT).replace(
        "*--download-db-only*)",
        "*--download-db-only*) echo 'FATAL 429 TOOMANYREQUESTS' >&2; exit 1 ;;\nnever)",
    );
    let cached = format!(
        "mkdir -p \"$HOME/.cache/trivy/db\"; echo db > \"$HOME/.cache/trivy/db/trivy.db\"; printf '{{\"Version\":2,\"UpdatedAt\":\"%s\"}}' \"$(date -u -d '-{age} hours' +%FT%TZ)\" > \"$HOME/.cache/trivy/db/metadata.json\""
    );
    let step = step()
        .tool("trivy", &down)
        .input("db-repositories", "a.example/db:2");
    let cache = step.folder().join("cache.sh");
    std::fs::write(&cache, cached).unwrap();
    let made = std::process::Command::new("sh")
        .arg(&cache)
        .env("HOME", step.folder().join("home"))
        .status()
        .unwrap();
    assert!(made.success());
    step
}

#[test]
fn an_old_database_serves_within_its_limit_and_that_is_loud() {
    let ran = without_mirrors("30").run();
    assert_eq!(
        (ran.code, ran.output("database-age")),
        (0, "30"),
        "{}",
        ran.log
    );
    let notice = "no mirror gave a newer vulnerability database, so advisories of the last hours are missing (a.example/db:2: FATAL 429 TOOMANYREQUESTS)";
    assert!(
        ran.log.contains(&format!("::warning::{notice}")),
        "{}",
        ran.log
    );
    assert!(
        ran.summary
            .contains("no mirror gave a newer vulnerability database"),
        "{}",
        ran.summary
    );
}

#[test]
fn beyond_its_limit_there_is_no_verdict() {
    let ran = without_mirrors("30").input("max-database-age", "24h").run();
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("total")),
        (2, "error", ""),
        "{}",
        ran.log
    );
    assert_eq!(
        ran.error(),
        "trivy-scan: the vulnerability database is 30 h old, and `max-database-age` allows 24 h: no mirror gave a newer one (a.example/db:2: FATAL 429 TOOMANYREQUESTS)"
    );
}
