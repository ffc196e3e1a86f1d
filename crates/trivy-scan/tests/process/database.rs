//! The database: exit code 2 where there is none, a warning where it is old.

use testkit::FakeRunner;

use crate::step::{database, step};

/// A database of this age, and a mirror that refuses the connection.
fn without_mirrors(hours: i64) -> FakeRunner {
    database(step(), hours).input("db-repositories", "127.0.0.1:9/trivy-db:2")
}

#[test]
fn an_old_database_is_used_up_to_its_maximum_age_with_a_warning() {
    let ran = without_mirrors(30).run();
    assert_eq!(
        (ran.code, ran.output("database-age")),
        (0, "30"),
        "{}",
        ran.log
    );
    let notice = "no mirror has a newer vulnerability database, so the newest advisories are missing (127.0.0.1:9/trivy-db:2: ";
    assert!(
        ran.log.contains(&format!("::warning::{notice}")),
        "{}",
        ran.log
    );
    assert!(
        ran.summary
            .contains("no mirror has a newer vulnerability database"),
        "{}",
        ran.summary
    );
}

#[test]
fn beyond_its_maximum_age_there_is_no_verdict() {
    let ran = without_mirrors(30).input("max-database-age", "24h").run();
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("total")),
        (2, "error", ""),
        "{}",
        ran.log
    );
    let error = "trivy-scan: the vulnerability database is 30 h old, over the `max-database-age` of 24 h; no mirror has a newer one (127.0.0.1:9/trivy-db:2: ";
    assert!(ran.error().starts_with(error), "{}", ran.error());
}

#[test]
fn without_any_database_the_error_of_every_mirror_is_quoted_with_a_hint() {
    let step = without_mirrors(0);
    std::fs::remove_dir_all(step.directory().join("home/.cache")).unwrap();
    let ran = step.run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    let error = "trivy-scan: failed to download the vulnerability database from any mirror; set `db-repositories` to a mirror that this runner can reach, or fill `cache-directory` and set `offline: true`. Errors: 127.0.0.1:9/trivy-db:2: ";
    assert!(ran.error().starts_with(error), "{}", ran.error());
}
