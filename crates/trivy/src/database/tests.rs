use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;

const MIB: u64 = 1024 * 1024;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A registry whose repositories are named after what they do.
#[derive(Clone, Default)]
struct Mirrors {
    requests: Arc<Mutex<Vec<String>>>,
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// An archive with one more entry of `kind` after a database's.
fn archive_and(kind: tar::EntryType, path: &str, size: u64) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    if kind == tar::EntryType::Symlink {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_size(size);
    header.set_mode(0o600);
    header.set_cksum();
    tar.append(&header, std::io::repeat(b'a').take(size))
        .unwrap();
    let about = format!(r#"{{"Version":2,"UpdatedAt":"{}"}}"#, Timestamp::now());
    for (path, text) in [("trivy.db", "new"), ("metadata.json", &about)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn layer(repository: &str) -> Vec<u8> {
    use tar::EntryType;
    let about = format!(r#"{{"Version":2,"UpdatedAt":"{}"}}"#, Timestamp::now());
    match repository {
        "link" => archive_and(EntryType::Symlink, "trivy.db", 0),
        "hard-link" => archive_and(EntryType::Link, "trivy.db", 0),
        "twice" => archive_and(EntryType::Regular, "trivy.db", 1),
        "outside" => archive_and(EntryType::Regular, "../../outside", 1),
        "long-name" => archive_and(EntryType::GNULongName, "x", 64 * MIB),
        "metadata" => archive_and(EntryType::Regular, "metadata.json", 2 * MIB),
        "many" => archive(&[("x", "y"); 20]),
        "empty" => archive(&[("readme", "nothing")]),
        "halved" => {
            let whole = archive(&[("trivy.db", "new"), ("metadata.json", &about)]);
            whole[..whole.len() / 2].to_vec()
        }
        "java" => archive(&[("trivy-java.db", "java"), ("metadata.json", &about)]),
        _ => archive(&[("trivy.db", "new"), ("metadata.json", &about), ("x", "y")]),
    }
}

fn digest(bytes: &[u8]) -> String {
    oci::Digest::sha256(bytes).to_string()
}

// Made once: the time in it would change its digest.
static LAYERS: Mutex<Vec<(String, Vec<u8>)>> = Mutex::new(Vec::new());

async fn respond(State(mirrors): State<Mirrors>, uri: Uri) -> Response {
    let path: Vec<_> = uri.path().split('/').collect();
    let [_, "v2", repository, kind, _] = path[..] else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let name = repository.to_owned();
    let bytes = {
        let mut layers = LAYERS.lock().unwrap();
        let known = layers.iter().find(|(of, _)| *of == name).cloned();
        let (_, bytes) = known.unwrap_or_else(|| {
            layers.push((name.clone(), layer(&name)));
            layers.last().cloned().unwrap()
        });
        bytes
    };
    if kind == "blobs" {
        return if repository == "forged" {
            "forged".into_response()
        } else {
            bytes.into_response()
        };
    }
    mirrors.requests.lock().unwrap().push(name);
    match repository {
        "busy" => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")], json!({"errors": [{"message": "TOOMANYREQUESTS"}]}).to_string()).into_response(),
        "broken" => StatusCode::BAD_GATEWAY.into_response(),
        "gone" => StatusCode::NOT_FOUND.into_response(),
        "other" => json!({"layers": [{"mediaType": "text/plain"}]}).to_string().into_response(),
        "java" => json!({"layers": [{"mediaType": "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip", "digest": digest(&bytes)}]}).to_string().into_response(),
        _ => json!({"layers": [{"mediaType": "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip", "digest": digest(&bytes)}]}).to_string().into_response(),
    }
}

struct Case {
    directory: tempfile::TempDir,
    mirrors: Mirrors,
    address: SocketAddr,
}

impl Case {
    async fn new() -> Self {
        let mirrors = Mirrors::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(respond).with_state(mirrors.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            directory: tempfile::tempdir().unwrap(),
            mirrors,
            address,
        }
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    fn cached(self, age: SignedDuration, next: SignedDuration) -> Self {
        let directory = self.cache().join("db");
        std::fs::create_dir_all(&directory).unwrap();
        let (updated, next) = (Timestamp::now() - age, Timestamp::now() + next);
        let text = format!(r#"{{"Version":2,"UpdatedAt":"{updated}","NextUpdate":"{next}"}}"#);
        std::fs::write(directory.join("metadata.json"), text).unwrap();
        std::fs::write(directory.join("trivy.db"), "old").unwrap();
        self
    }

    async fn provide(&self, mirrors: &[&str], offline: bool) -> Result<Database, DatabaseError> {
        let name = |mirror: &&str| match *mirror {
            "down" => "127.0.0.1:9/down:2".to_owned(),
            mirror => format!("{}/{mirror}:2", self.address),
        };
        let request = DatabaseRequest {
            kind: DatabaseKind::Vulnerabilities,
            mirrors: mirrors.iter().map(name).collect(),
            cache: self.cache(),
            offline,
            max_age: MAX_AGE,
            server: None,
        };
        // What is tested is the order of requests, not the delay between them.
        let sleep = |_| std::future::ready(());
        Database::provide_with(&request, sleep, &Log::sink()).await
    }

    fn requests(&self) -> String {
        self.mirrors.requests.lock().unwrap().join(" ")
    }

    fn message(&self, error: &DatabaseError) -> String {
        error
            .to_string()
            .replace(&self.address.to_string(), "[mirror]")
    }

    fn content(&self) -> String {
        std::fs::read_to_string(self.cache().join("db/trivy.db")).unwrap()
    }
}

#[tokio::test]
async fn the_next_mirror_is_tried_after_any_error() {
    let case = Case::new().await;
    let all = [
        "down", "busy", "broken", "gone", "other", "empty", "halved", "forged", "good",
    ];
    let found = case.provide(&all, false).await.unwrap();
    assert_eq!(
        found.origin,
        Origin::Mirror(format!("{}/good:2", case.address))
    );
    assert_eq!(
        case.requests(),
        "busy broken gone other empty halved forged good"
    );
    assert_eq!(case.content(), "new");
    for file in ["trivy.db", "metadata.json"] {
        let about = case.cache().join("db").join(file).metadata().unwrap();
        assert_eq!(
            about.permissions().mode() & 0o777,
            0o644,
            "the runner's user can read it"
        );
    }
    let left = std::fs::read_dir(case.cache()).unwrap().count();
    assert_eq!(left, 1, "nothing is left next to it");
    let files = std::fs::read_dir(case.cache().join("db")).unwrap().count();
    assert_eq!(files, 2, "nothing else is unpacked");
}

#[tokio::test]
async fn an_archive_that_is_not_a_plain_database_is_rejected() {
    let table = [
        ("link", "`trivy.db` in its archive is not a file"),
        ("hard-link", "`trivy.db` in its archive is not a file"),
        ("twice", "File exists (os error 17)"),
        (
            "metadata",
            "`metadata.json` in its archive is over the limit of 1 MiB",
        ),
        ("many", "its archive has over 16 entries"),
    ];
    for (mirror, problem) in table {
        let case = Case::new().await;
        let error = case.provide(&[mirror], false).await.unwrap_err();
        let message = case.message(&error);
        assert!(
            message.contains(&format!("/{mirror}:2: {problem}")),
            "{message}"
        );
        assert_eq!(std::fs::read_dir(case.cache()).unwrap().count(), 0);
    }
    // What is not part of a database is skipped, wherever it would be written to and however long its name is.
    for mirror in ["outside", "long-name"] {
        let case = Case::new().await;
        case.provide(&[mirror], false).await.unwrap();
        assert_eq!(case.content(), "new");
        let written = std::fs::read_dir(case.directory.path()).unwrap().count();
        assert_eq!(written, 1, "only the cache");
    }
}

#[tokio::test]
async fn a_current_database_is_not_downloaded_again() {
    let case = Case::new().await.cached(HOUR, HOUR);
    let found = case.provide(&["good"], false).await.unwrap();
    assert_eq!(
        (found.origin, case.requests()),
        (Origin::Cache, String::new())
    );
    assert_eq!(found.age.as_secs() / 60, 60);
}

#[tokio::test]
async fn an_old_database_is_used_and_kept_when_every_mirror_fails() {
    let case = Case::new().await.cached(HOUR * 30, -HOUR);
    let found = case.provide(&["halved"], false).await.unwrap();
    assert!(matches!(found.origin, Origin::Stale(errors) if errors.len() == 1));
    assert_eq!(case.content(), "old");
    assert_eq!(case.requests(), "halved halved halved");
}

#[tokio::test]
async fn a_database_that_is_too_old_is_an_error() {
    let case = Case::new().await.cached(HOUR * 50, -HOUR);
    let error = case.provide(&["busy"], false).await.unwrap_err();
    assert_eq!(
        case.message(&error),
        "the vulnerability database is 50 h old, over the `max-database-age` of 48 h; no mirror has a newer one ([mirror]/busy:2: `[mirror]` responded with 429 Too Many Requests: TOOMANYREQUESTS)"
    );
    let error = case.provide(&[], true).await.unwrap_err();
    assert!(matches!(error, DatabaseError::TooOld { .. }));
}

#[tokio::test]
async fn without_any_database_the_error_of_every_mirror_is_quoted() {
    let case = Case::new().await;
    let error = case
        .provide(&["broken", "gone", "forged"], false)
        .await
        .unwrap_err();
    let DatabaseError::Unreachable { errors, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(errors.len(), 3);
    let message = case.message(&error);
    for part in [
        "[mirror]/broken:2: `[mirror]` responded with 502",
        "[mirror]/gone:2: no such repository or tag",
        "[mirror]/forged:2: the content that `[mirror]` sent does not match the digest `sha256:",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn offline_no_mirror_is_contacted() {
    let case = Case::new().await;
    let error = case.provide(&["good"], true).await.unwrap_err();
    assert!(matches!(error, DatabaseError::NotCached { .. }));
    let case = case.cached(HOUR, -HOUR);
    assert_eq!(
        case.provide(&["good"], true).await.unwrap().origin,
        Origin::Cache
    );
    assert_eq!(case.requests(), "");
}

#[tokio::test]
async fn a_damaged_database_is_an_error() {
    let table = [
        ("metadata.json", "{"),
        ("metadata.json", r#"{"UpdatedAt":"soon"}"#),
        ("trivy.db", ""),
    ];
    for (file, text) in table {
        let case = Case::new().await.cached(HOUR, HOUR);
        std::fs::write(case.cache().join("db").join(file), text).unwrap();
        let error = case.provide(&["good"], true).await.unwrap_err();
        assert!(
            matches!(error, DatabaseError::Damaged { .. }),
            "{file} {text}: {error}"
        );
    }
}

/// A `trivy` that finds JAR files: without the Java database it fails as Trivy does.
const TRIVY: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo scan >> "$here/runs"
if [ -f "$here/../cache/java-db/trivy-java.db" ]; then
  echo '{"SchemaVersion":2,"Results":[{"Type":"jar","Packages":[{"Name":"log4j-core"}]}]}'
else
  printf "2026-11-29T02:00:00Z\tFATAL\tFatal error\trun error: image scan error: unable to initialize Java DB: '--skip-java-db-update' cannot be specified on the first run\n" >&2
  exit 1
fi
"#;

impl Case {
    fn java(&self, mirror: &str) -> DatabaseRequest {
        DatabaseRequest {
            kind: DatabaseKind::Java,
            mirrors: vec![format!("{}/{mirror}:1", self.address)],
            cache: self.cache(),
            offline: false,
            max_age: MAX_AGE,
            server: None,
        }
    }

    /// The scan of an image with JAR files, and how often Trivy has run.
    async fn scan(&self, java: Option<DatabaseRequest>) -> (Result<crate::Scanned, String>, usize) {
        let tools = self.directory.path().join("tools");
        std::fs::create_dir_all(&tools).unwrap();
        std::fs::write(tools.join("trivy"), TRIVY).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(tools.join("trivy"), executable).unwrap();
        let path = format!("{}:/usr/bin:/bin", tools.display());
        let env = Env::from_pairs([("PATH", path.as_str())]);
        let mut scan = crate::Scan::new(crate::Target::Image("app:1".into()), self.cache());
        scan.java = java;
        let scanned = scan.run(&env, &Log::sink()).await;
        let runs = std::fs::read_to_string(tools.join("runs")).unwrap();
        (scanned.map_err(|e| e.to_string()), runs.lines().count())
    }
}

#[tokio::test]
async fn a_scan_that_finds_jar_files_gets_the_java_database_and_runs_again() {
    let case = Case::new().await;
    let (scanned, runs) = case.scan(Some(case.java("java"))).await;
    assert_eq!(scanned.unwrap().report.results[0].packages.len(), 1);
    assert_eq!((runs, case.requests().as_str()), (2, "java"));
    // It is in the cache by now, but this one is not said to be current.
    let (scanned, runs) = case.scan(Some(case.java("java"))).await;
    assert!(scanned.is_ok());
    assert_eq!((runs, case.requests().as_str()), (3, "java java"));
}

#[tokio::test]
async fn without_a_java_database_the_error_says_what_to_do() {
    let case = Case::new().await;
    let (scanned, _) = case.scan(Some(case.java("gone"))).await;
    let message = scanned.unwrap_err();
    assert!(message.starts_with("failed to download the Java database from any mirror; set `java-db-repositories` to a mirror"), "{message}");
    let offline = DatabaseRequest {
        offline: true,
        ..case.java("java")
    };
    let (scanned, _) = case.scan(Some(offline)).await;
    let message = scanned.unwrap_err();
    let start = "`offline` is set, but there is no Java database in `";
    assert!(message.starts_with(start), "{message}");
    let (scanned, _) = case.scan(None).await;
    let message = scanned.unwrap_err();
    let start = "Trivy needs its Java database";
    assert!(message.starts_with(start), "{message}");
}

#[tokio::test]
async fn an_old_java_database_is_an_error_only_where_there_are_jar_files() {
    let case = Case::new().await;
    let old = |days: i64| {
        let directory = case.cache().join("java-db");
        std::fs::create_dir_all(&directory).unwrap();
        let updated = Timestamp::now() - HOUR * i32::try_from(24 * days).unwrap();
        let text = format!(r#"{{"Version":1,"UpdatedAt":"{updated}"}}"#);
        std::fs::write(directory.join("metadata.json"), text).unwrap();
        std::fs::write(directory.join("trivy-java.db"), "old").unwrap();
    };
    old(13);
    let (scanned, _) = case.scan(Some(case.java("gone"))).await;
    assert!(scanned.is_ok());
    old(15);
    let (scanned, _) = case.scan(Some(case.java("gone"))).await;
    let message = scanned.unwrap_err();
    let start = "the Java database is 360 h old, over the `max-database-age` of 336 h; no mirror has a newer one";
    assert!(message.starts_with(start), "{message}");
}
