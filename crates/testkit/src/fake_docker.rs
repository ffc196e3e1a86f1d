//! A Docker daemon that has one image, and nothing else.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

/// A Docker daemon for a step that only inspects it. Its socket is removed when it is dropped.
pub struct FakeDocker {
    directory: tempfile::TempDir,
}

impl FakeDocker {
    /// A daemon that has `image`.
    ///
    /// # Panics
    /// When no socket can be created.
    pub fn with(image: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let docker = Self { directory };
        let listener = UnixListener::bind(docker.socket()).expect("a socket");
        // It stops with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || respond(&stream, image));
            }
        });
        docker
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    /// The value of `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }
}

// Source: docs.docker.com/reference/api/engine, `SystemVersion`, `ContainerList` and `ImageInspect` of 1.41.
fn respond(stream: &UnixStream, image: &str) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next()?.ok()?;
    let path = request.split([' ', '?']).nth(1)?;
    // The head ends with an empty line; these requests have no body.
    lines
        .find(|line| line.as_ref().is_ok_and(String::is_empty))?
        .ok()?;
    let (status, body) = if path.ends_with("/version") {
        let version = r#"{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}"#;
        ("200 OK", version)
    } else if path.ends_with("/containers/json") {
        ("200 OK", "[]")
    } else if path.ends_with(&format!("/images/{image}/json")) {
        ("200 OK", r#"{"Id": "sha256:0", "Os": "linux"}"#)
    } else {
        ("404 Not Found", r#"{"message": "No such image"}"#)
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .ok()
}
