//! A proxy between the step and a server: it forwards everything until a request that a fault is injected into.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Longer than any response of Docker that a test waits for.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

const UNAVAILABLE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A response with code 503.
    Unavailable,
    /// The connection is closed.
    Reset,
    /// The step gets SIGTERM; the request is forwarded.
    Terminate,
    /// The step gets SIGKILL; the request is forwarded.
    Kill,
}

/// A request to wait for, and its fault.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Parts of the request line, in any order: `PUT /manifests/1-patched`.
    request: &'static str,
    /// How many such requests are forwarded first.
    after: usize,
    /// How many get the fault then.
    expected: usize,
    /// How many of these are still to come.
    times: usize,
    fault: Fault,
}

/// The first such request.
pub fn first(request: &'static str, fault: Fault) -> Rule {
    Rule {
        request,
        after: 0,
        expected: 1,
        times: 1,
        fault,
    }
}

/// The second such request.
pub fn second(request: &'static str, fault: Fault) -> Rule {
    Rule {
        after: 1,
        ..first(request, fault)
    }
}

/// Every such request.
pub fn every(request: &'static str, fault: Fault) -> Rule {
    Rule {
        expected: usize::MAX,
        times: usize::MAX,
        ..first(request, fault)
    }
}

struct Shared {
    rules: Mutex<Vec<Rule>>,
    /// The process at the other end.
    step: Arc<AtomicI32>,
    /// Requests in progress when the step got SIGTERM.
    open: AtomicUsize,
}

impl Shared {
    fn fault(&self, request: &str) -> Option<Fault> {
        let line = request.lines().next().unwrap_or_default();
        let line = format!("{line} ");
        let mut rules = lock(&self.rules);
        let rule = rules
            .iter_mut()
            .find(|rule| rule.times > 0 && rule.request.split(' ').all(|part| has(&line, part)))?;
        if rule.after > 0 {
            rule.after -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.fault)
    }
}

// A part that ends in a space is the end of a path: `/manifests/1-patched` is not `/manifests/1-patched-1`.
fn has(line: &str, part: &str) -> bool {
    line.match_indices(part)
        .any(|(at, _)| line[at + part.len()..].starts_with(['/', '?', ' ', ':']))
}

/// The address to use instead of the server's; it closes with the test.
pub struct Wire {
    /// `host:port`, or `unix://` and the path of a socket.
    pub address: String,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
    _directory: Option<tempfile::TempDir>,
}

impl Wire {
    /// Before Docker; `step` gets the id of the process that connects.
    ///
    /// # Panics
    /// When no socket can be made.
    pub fn to_docker(rules: &[Rule], step: &Arc<AtomicI32>) -> Self {
        let host = std::env::var("DOCKER_HOST").unwrap_or("unix:///var/run/docker.sock".into());
        let server = PathBuf::from(host.trim_start_matches("unix://"));
        let (runtime, shared) = make(rules, step);
        let directory = tempfile::tempdir().expect("a server of a test");
        let path = directory.path().join("docker.sock");
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(&path).expect("a server of a test")
        };
        let known = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let pid = client.peer_cred().ok().and_then(|peer| peer.pid());
                // Tools of the step connect as well, later.
                let _ = known.step.compare_exchange(
                    0,
                    pid.unwrap_or_default(),
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                );
                let server = UnixStream::connect(&server)
                    .await
                    .expect("a server of a test");
                tokio::spawn(pass(client, server, Arc::clone(&known)));
            }
        });
        Self {
            address: format!("unix://{}", path.display()),
            shared,
            _runtime: runtime,
            _directory: Some(directory),
        }
    }

    /// Before the server at `host:port`; `step` has the id of the process that connects.
    ///
    /// # Panics
    /// When no port is free.
    pub fn to_server(server: String, step: &Arc<AtomicI32>) -> Self {
        let (runtime, shared) = make(&[], step);
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a server of a test");
        let address = listener
            .local_addr()
            .expect("a server of a test")
            .to_string();
        let known = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server)
                    .await
                    .expect("a server of a test");
                tokio::spawn(pass(client, server, Arc::clone(&known)));
            }
        });
        Self {
            address,
            shared,
            _runtime: runtime,
            _directory: None,
        }
    }

    /// Replace all rules.
    pub fn rules(&self, rules: &[Rule]) {
        *lock(&self.shared.rules) = rules.to_vec();
    }

    /// Wait for the responses to the requests in progress when the step got its signal.
    ///
    /// # Panics
    /// When one does not come.
    pub fn settled(&self) {
        let started = Instant::now();
        while self.shared.open.load(Ordering::SeqCst) > 0 {
            assert!(
                started.elapsed() < SETTLE_TIMEOUT,
                "the server does not respond"
            );
            std::thread::yield_now();
        }
    }

    /// Whether every rule was applied.
    pub fn is_met(&self) -> bool {
        let rules = lock(&self.shared.rules);
        rules.iter().all(|rule| rule.times < rule.expected)
    }
}

fn lock(rules: &Mutex<Vec<Rule>>) -> std::sync::MutexGuard<'_, Vec<Rule>> {
    rules.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make(rules: &[Rule], step: &Arc<AtomicI32>) -> (tokio::runtime::Runtime, Arc<Shared>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a server of a test");
    let shared = Arc::new(Shared {
        rules: Mutex::new(rules.to_vec()),
        step: Arc::clone(step),
        open: AtomicUsize::new(0),
    });
    (runtime, shared)
}

async fn pass<S>(client: S, server: S, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut from_client, to_client) = tokio::io::split(client);
    let to_client = Arc::new(tokio::sync::Mutex::new(to_client));
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let open = Arc::new(AtomicUsize::new(0));
    let down = {
        let (shared, open) = (Arc::clone(&shared), Arc::clone(&open));
        let to_client = Arc::clone(&to_client);
        tokio::spawn(async move {
            let mut chunk = vec![0; 64 * 1024];
            loop {
                let count = from_server.read(&mut chunk).await.unwrap_or(0);
                // The first bytes of the response: the request is done.
                let done = open.swap(0, Ordering::SeqCst);
                shared.open.fetch_sub(done, Ordering::SeqCst);
                if count == 0 {
                    let _ = to_client.lock().await.shutdown().await;
                    return;
                }
                // The response is read to its end, even if the client is gone.
                let _ = to_client.lock().await.write_all(&chunk[..count]).await;
            }
        })
    };
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let count = from_client.read(&mut chunk).await.unwrap_or(0);
        if count == 0 {
            let _ = to_server.shutdown().await;
            return;
        }
        let sent = &chunk[..count];
        let verbs = [b"GET ", b"PUT ", b"HEAD", b"POST", b"PATC", b"DELE"];
        let begins = verbs.iter().any(|verb| sent.starts_with(*verb));
        let fault = begins.then(|| shared.fault(&String::from_utf8_lossy(sent)));
        match fault.flatten() {
            None => {}
            Some(Fault::Unavailable) => {
                down.abort();
                let mut to_client = to_client.lock().await;
                let _ = to_client.write_all(UNAVAILABLE).await;
                let _ = to_client.shutdown().await;
                // Unread bytes would become a reset, and the response would be lost.
                while from_client.read(&mut chunk).await.unwrap_or(0) > 0 {}
                return;
            }
            Some(Fault::Reset) => {
                down.abort();
                return;
            }
            Some(fault @ (Fault::Terminate | Fault::Kill)) => {
                open.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                let signal = if fault == Fault::Kill {
                    "-KILL"
                } else {
                    "-TERM"
                };
                let pid = shared.step.load(Ordering::SeqCst).to_string();
                let kill = std::process::Command::new("kill")
                    .args([signal, &pid])
                    .status();
                assert!(
                    kill.is_ok_and(|status| status.success()),
                    "the step is no longer there"
                );
            }
        }
        if to_server.write_all(sent).await.is_err() {
            return;
        }
    }
}
