//! The database: exit code 2 where there is none, a loud notice where it is old.

use testkit::FakeRunner;

use crate::step::{database, step};

/// A database of this age, and a mirror that refuses the connection.
fn without_mirrors(hours: i64) -> FakeRunner {
    database(step(), hours).input("db-repositories", "127.0.0.1:9/trivy-db:2")
}

#[test]
fn an_old_database_serves_within_its_limit_and_that_is_loud() {
    let ran = without_mirrors(30).run();
    assert_eq!(
        (ran.code, ran.output("database-age")),
        (0, "30"),
        "{}",
        ran.log
    );
    let notice = "no mirror gave a newer vulnerability database, so advisories of the last hours are missing (127.0.0.1:9/trivy-db:2: ";
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
    let ran = without_mirrors(30).input("max-database-age", "24h").run();
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("total")),
        (2, "error", ""),
        "{}",
        ran.log
    );
    let error = "trivy-scan: the vulnerability database is 30 h old, and `max-database-age` allows 24 h: no mirror gave a newer one (127.0.0.1:9/trivy-db:2: ";
    assert!(ran.error().starts_with(error), "{}", ran.error());
}

#[test]
fn without_any_database_every_mirror_is_quoted_with_the_cure() {
    let step = without_mirrors(0);
    std::fs::remove_dir_all(step.directory().join("home/.cache")).unwrap();
    let ran = step.run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    let error = "trivy-scan: no mirror gave the vulnerability database: set `db-repositories` to one that this runner reaches, or fill `cache-directory` and set `offline: true`. They said: 127.0.0.1:9/trivy-db:2: ";
    assert!(ran.error().starts_with(error), "{}", ran.error());
}
