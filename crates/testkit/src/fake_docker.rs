//! A Docker daemon that has one image, and the containers that a test lists.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A Docker daemon for a step that only inspects it, or removes something. Its socket is removed when it is dropped.
pub struct FakeDocker {
    directory: tempfile::TempDir,
    state: Arc<Mutex<State>>,
}

struct State {
    image: String,
    containers: String,
    images: String,
    builds: VecDeque<String>,
    requests: Vec<String>,
}

impl FakeDocker {
    /// A daemon that has `image`.
    ///
    /// # Panics
    /// When no socket can be created.
    pub fn with(image: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = State {
            image: image.to_owned(),
            containers: "[]".to_owned(),
            images: "[]".to_owned(),
            builds: VecDeque::new(),
            requests: Vec::new(),
        };
        let docker = Self {
            directory,
            state: Arc::new(Mutex::new(state)),
        };
        let listener = UnixListener::bind(docker.socket()).expect("a socket");
        let state = Arc::clone(&docker.state);
        // It stops with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                std::thread::spawn(move || respond(&stream, &state));
            }
        });
        docker
    }

    /// The list of its containers, as JSON.
    #[must_use]
    pub fn containers(self, list: &str) -> Self {
        list.clone_into(&mut lock(&self.state).containers);
        self
    }

    /// The list of its images, as JSON.
    #[must_use]
    pub fn images(self, list: &str) -> Self {
        list.clone_into(&mut lock(&self.state).images);
        self
    }

    /// Its response to each build, one after the other: lines of JSON. The image is there in any case.
    #[must_use]
    pub fn builds(self, responses: &[&str]) -> Self {
        lock(&self.state).builds = responses.iter().map(|&text| text.to_owned()).collect();
        self
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    /// The value of `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The requests so far, `DELETE /containers/ID?force=true`, without the version of the API.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).requests.clone()
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

// Source: docs.docker.com/reference/api/engine, `SystemVersion`, `ContainerList`, `ContainerDelete`, `ImageList`,
// `ImageDelete`, `ImageInspect`, `ImageBuild` and `Session` of 1.41.
fn respond(stream: &UnixStream, state: &Mutex<State>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next()?.ok()?;
    let mut words = request.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    // The head ends with an empty line; these requests have no body.
    lines
        .find(|line| line.as_ref().is_ok_and(String::is_empty))?
        .ok()?;
    let target = match target.strip_prefix("/v1.") {
        Some(versioned) => &versioned[versioned.find('/')?..],
        None => target,
    };
    let path = target.split('?').next()?;
    let mut state = lock(state);
    state.requests.push(format!("{method} {target}"));
    let image = format!("/images/{}/json", state.image);
    let mut stream = stream;
    if path == "/session" {
        // The connection is closed at once: these builds need nothing of the session.
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
        return stream.write_all(head.as_bytes()).ok();
    }
    let built = if path == "/build" {
        state.builds.pop_front()?
    } else {
        String::new()
    };
    let (status, body) = match (method, path) {
        ("DELETE", path) if path.starts_with("/images/") => ("200 OK", "[]"),
        ("DELETE", _) => ("204 No Content", ""),
        (_, "/version") => (
            "200 OK",
            r#"{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}"#,
        ),
        (_, "/containers/json") => ("200 OK", state.containers.as_str()),
        (_, "/build") => ("200 OK", built.as_str()),
        (_, "/images/json") => ("200 OK", state.images.as_str()),
        (_, path) if path == image => ("200 OK", r#"{"Id": "sha256:0", "Os": "linux"}"#),
        _ => ("404 Not Found", r#"{"message": "No such image"}"#),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .ok()
}
