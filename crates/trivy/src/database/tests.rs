#![allow(clippy::unwrap_used)] // in a test, a panic is the report

use std::os::unix::fs::PermissionsExt as _;

use jiff::{SignedDuration, Timestamp};

use super::*;

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    // A Trivy whose mirrors are called by what they do.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trivy = folder.path().join("trivy");
        let script = "#!/bin/sh\nfor a; do case $last in --db-repository) mirror=$a;; --cache-dir) cache=$a;; esac; last=$a; done\n\
            echo \"$mirror\" >> \"$(dirname \"$0\")/asked\"\n\
            case $mirror in\n\
            good) mkdir -p \"$cache/db\"; echo db > \"$cache/db/trivy.db\"; printf '{\"Version\":2,\"UpdatedAt\":\"%s\"}' \"$(date -u +%FT%TZ)\" > \"$cache/db/metadata.json\";;\n\
            empty) ;;\n\
            *) echo \"FATAL $mirror is down\" >&2; exit 1;; esac\n";
        std::fs::write(&trivy, script).unwrap();
        std::fs::set_permissions(&trivy, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn cached(self, age: SignedDuration, next: SignedDuration) -> Self {
        let folder = self.cache().join("db");
        std::fs::create_dir_all(&folder).unwrap();
        let (updated, next) = (Timestamp::now() - age, Timestamp::now() + next);
        let text = format!(r#"{{"Version":2,"UpdatedAt":"{updated}","NextUpdate":"{next}"}}"#);
        std::fs::write(folder.join("metadata.json"), text).unwrap();
        std::fs::write(folder.join("trivy.db"), "old").unwrap();
        self
    }

    async fn provide(&self, mirrors: &[&str], offline: bool) -> Result<Database, DatabaseError> {
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        let env = Env::of([("PATH", path)]);
        let request = DatabaseRequest {
            mirrors: mirrors.iter().map(ToString::to_string).collect(),
            cache: self.cache(),
            offline,
            max_age: MAX_AGE,
        };
        // Microseconds: what is tested is the order of things, not the clock.
        Database::with_pauses(&request, Duration::from_nanos(1), &env, &Log::sink()).await
    }

    fn asked(&self) -> String {
        let asked = std::fs::read_to_string(self.folder.path().join("asked"));
        asked.unwrap_or_default().replace('\n', " ")
    }

    fn content(&self) -> String {
        std::fs::read_to_string(self.cache().join("db/trivy.db")).unwrap()
    }
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[tokio::test]
async fn the_next_mirror_is_asked_after_any_error() {
    let case = Case::new();
    let found = case
        .provide(&["down", "empty", "good"], false)
        .await
        .unwrap();
    assert_eq!(found.origin, Origin::Mirror("good".into()));
    assert_eq!(case.asked(), "down empty good ");
    let mode = case
        .cache()
        .join("db/trivy.db")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644, "the runner's user can read it");
    let left = std::fs::read_dir(case.cache()).unwrap().count();
    assert_eq!(left, 1, "nothing stays beside it");
}

#[tokio::test]
async fn a_current_database_is_not_fetched_again() {
    let case = Case::new().cached(HOUR, HOUR);
    let found = case.provide(&["good"], false).await.unwrap();
    assert_eq!((found.origin, case.asked()), (Origin::Cache, String::new()));
    assert_eq!(found.age.as_secs() / 60, 60);
}

#[tokio::test]
async fn an_old_one_serves_when_no_mirror_answers_and_is_kept_whole() {
    let case = Case::new().cached(HOUR * 30, -HOUR);
    let found = case.provide(&["down"], false).await.unwrap();
    assert_eq!(
        found.origin,
        Origin::Stale(vec!["down: FATAL down is down".into()])
    );
    assert_eq!(case.content(), "old");
}

#[tokio::test]
async fn one_that_is_too_old_gives_no_verdict() {
    let case = Case::new().cached(HOUR * 50, -HOUR);
    let error = case
        .provide(&["down"], false)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the vulnerability database is 50 h old, and `max-database-age` allows 48 h: no mirror gave a newer one (down: FATAL down is down)"
    );
    assert!(matches!(
        case.provide(&[], true).await,
        Err(DatabaseError::TooOld { .. })
    ));
}

#[tokio::test]
async fn without_any_database_every_mirror_is_quoted() {
    let error = Case::new()
        .provide(&["down", "away"], false)
        .await
        .unwrap_err();
    let DatabaseError::Unreachable(said) = error else {
        panic!("{error}")
    };
    assert_eq!(
        said,
        ["down: FATAL down is down", "away: FATAL away is down"]
    );
}

#[tokio::test]
async fn offline_nobody_is_asked() {
    let case = Case::new();
    assert!(matches!(
        case.provide(&["good"], true).await,
        Err(DatabaseError::NotCached(_))
    ));
    let case = case.cached(HOUR, -HOUR);
    assert_eq!(
        case.provide(&["good"], true).await.unwrap().origin,
        Origin::Cache
    );
    assert_eq!(case.asked(), "");
}

#[tokio::test]
async fn a_damaged_one_is_named() {
    for (file, text) in [
        ("metadata.json", "{"),
        ("metadata.json", r#"{"UpdatedAt":"soon"}"#),
        ("trivy.db", ""),
    ] {
        let case = Case::new().cached(HOUR, HOUR);
        std::fs::write(case.cache().join("db").join(file), text).unwrap();
        let error = case.provide(&["good"], true).await.unwrap_err();
        assert!(
            matches!(error, DatabaseError::Damaged { .. }),
            "{file} {text}: {error}"
        );
    }
}
