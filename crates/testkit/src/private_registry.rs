//! A real registry that requires a password, and its log.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `seaworthy:secret`.
const USERS: &str = "seaworthy:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
/// `mirror:t0ken`.
const OTHER_USERS: &str = "mirror:$2y$05$abcdefghijklmnopqrstuuHZSItsKchLCIg6XIY9a.LmZgwD7svOG\n";

/// A registry with its own port and directory; it stops with the test.
pub struct PrivateRegistry {
    child: Child,
    host: String,
    directory: tempfile::TempDir,
}

impl PrivateRegistry {
    /// The user that may pull and push.
    pub const USER: &str = "seaworthy";
    /// Its password.
    pub const PASSWORD: &str = "secret";

    /// The user of a second registry, who has no rights in the first one.
    pub const OTHER_USER: &str = "mirror";
    /// Its password.
    pub const OTHER_PASSWORD: &str = "t0ken";

    /// Start one on a free port of this machine.
    ///
    /// # Panics
    /// When Debian's `docker-registry` is not installed, or does not start.
    pub fn start() -> Self {
        Self::start_for(USERS)
    }

    /// The same for the other user.
    ///
    /// # Panics
    /// As [`PrivateRegistry::start`].
    pub fn start_other() -> Self {
        Self::start_for(OTHER_USERS)
    }

    fn start_for(users: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let host = free.local_addr().expect("its address").to_string();
        drop(free);
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("users"), users).expect("the file of users");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {host}, relativeurls: true}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            at("data").display(),
            at("users").display()
        );
        std::fs::write(at("config.yml"), config).expect("the configuration");
        let log = std::fs::File::create(at("log")).expect("the log");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(at("config.yml"))
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("`docker-registry` is installed by `cargo xtask up`");
        let started = Instant::now();
        while std::net::TcpStream::connect(&host).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60));
            std::thread::yield_now();
        }
        Self {
            child,
            host,
            directory,
        }
    }

    /// Its host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its directory, where a test may keep its own files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Every request so far, as `GET /v2/app/manifests/1 200`.
    ///
    /// # Panics
    /// When the log can't be read.
    pub fn requests(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.directory.path().join("log")).expect("the log");
        // The combined log format: `… "GET /v2/ HTTP/1.1" 200 …`.
        let request = |line: &str| {
            let (request, rest) = line.split_once('"')?.1.split_once('"')?;
            let status = rest.split_whitespace().next()?;
            let (request, _) = request.rsplit_once(' ')?;
            Some(format!("{request} {status}"))
        };
        log.lines().filter_map(request).collect()
    }
}

impl Drop for PrivateRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
