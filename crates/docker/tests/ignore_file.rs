//! What a build context has, beside `docker build`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use docker::{BuildRequest, Docker};
use oci::ImageRef;
use tokio::net::TcpListener;

const FILES: [&str; 22] = [
    ".env",
    "README.md",
    "a.pyc",
    "a+(b)",
    "app/.env",
    "app/__pycache__/x.pyc",
    "app/node_modules/x/index.js",
    "app/prod.env",
    "app/views/a.py",
    "app/views/b.pyc",
    "build/out/a.o",
    "build/out/keep/me",
    "docs/README.md",
    "docs/a.md",
    "docs/deep/er/a.md",
    "node_modules/x/index.js",
    "node_modules/y/README.md",
    "tests/a b.txt",
    "tests/{a,b}",
    "tests/é.md",
    "x",
    "y/x",
];

/// Each is an ignore file.
const PATTERNS: [&str; 18] = [
    "Dockerfile",
    "Dockerfile\n.dockerignore\nx",
    "**.pyc\n**.env",
    "**/*.pyc\n**/.env",
    "*\n!app",
    "*\n!app/views\n!docs/*.md",
    "**\n!README.md",
    "node_modules\n!node_modules/y",
    "**/node_modules\n!node_modules/y/README.md",
    "build/out\n!build/out/keep",
    "docs/**\n!docs/deep/er/a.md",
    "docs/**/a.md",
    "tests/{a,b}\na+(b)\n{x,y}",
    "tests/?.md\ntests/a?b.txt\n?",
    "[a-d]*\n[^t]\n[!x]",
    "./app//views/\n/x\n../y",
    "# notes\n #a\n  tests  \n! tests/a b.txt",
    "app\n!app/views/a.py\napp/views/b*",
];

// The files of the image.
fn files(image: &str) -> BTreeSet<String> {
    let script = format!(
        "id=$(docker create {image} none) && docker export $id | tar --list; docker rm $id >/dev/null"
    );
    let list = Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("Docker");
    let list = String::from_utf8(list.stdout).expect("Docker");
    let paths = list
        .lines()
        .filter_map(|path| path.strip_prefix("context/"));
    let own = |path: &&str| !path.is_empty() && !path.ends_with('/');
    paths.filter(own).map(ToOwned::to_owned).collect()
}

/// What a daemon got as the context of a build.
type Sent = Arc<Mutex<BTreeSet<String>>>;

// A daemon that keeps the paths of the files of a context, and builds nothing.
async fn daemon(sent: Sent) -> String {
    let keep = async move |State(sent): State<Sent>, context: Bytes| {
        let mut archive = tar::Archive::new(&context[..]);
        let entries = archive.entries().expect("an archive");
        let files = entries
            .map(|entry| entry.expect("an archive"))
            .filter(|entry| entry.header().entry_type().is_file());
        let paths = files.map(|file| String::from_utf8_lossy(&file.path_bytes()).into_owned());
        *sent.lock().expect("a request at a time") = paths.collect();
        r#"{"aux": {"ID": "sha256:0"}}"#
    };
    let router = Router::new()
        .route("/_ping", get(async || [("api-version", "1.44")]))
        .route("/{version}/build", post(keep))
        .with_state(sent);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("a port"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

// For the builder that needs no plugin. Unlike BuildKit and ours, it does not look for `!**/name` in a directory that is ignored.
async fn send_with_docker(context: &Path, daemon: &str) {
    let built = tokio::process::Command::new("docker")
        .args(["build", "--quiet"])
        .arg(context)
        .envs([("DOCKER_BUILDKIT", "0"), ("DOCKER_HOST", daemon)])
        .output()
        .await
        .expect("Docker");
    assert!(built.status.success(), "{built:?}");
}

#[tokio::test]
#[ignore = "real: needs Docker"]
async fn a_context_has_the_files_that_docker_build_sends() {
    let host = std::env::var("DOCKER_HOST").ok();
    let docker = Docker::connect(host.as_deref()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    for file in FILES {
        let path = directory.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file).unwrap();
    }
    let dockerfile = "FROM scratch\nCOPY . /context\n";
    std::fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
    let image: ImageRef = "seaworthy-ignore-real:ours".parse().unwrap();
    let sent = Sent::default();
    let daemon = daemon(Arc::clone(&sent)).await;
    for patterns in PATTERNS {
        std::fs::write(directory.path().join(".dockerignore"), patterns).unwrap();
        let request = BuildRequest::new(directory.path(), "Dockerfile", image.clone());
        docker.build(&request, |_| ()).await.unwrap();
        send_with_docker(directory.path(), &daemon).await;
        let (mut ours, mut sent) = (files(&image.to_string()), sent.lock().unwrap().clone());
        for name in ["Dockerfile", ".dockerignore"] {
            // A daemon needs both, and removes one that is ignored (moby, builder/remotecontext/detect.go).
            sent.remove(name);
            let is_ignored = patterns.lines().any(|line| line == name);
            assert!(!(ours.remove(name) && is_ignored), "{patterns}");
        }
        assert_eq!(ours, sent, "{patterns}");
    }
    docker.untag(&image).await.unwrap();
}
