//! The application under load, in a container with the memory of its pod.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::timed;
use crate::browser::{Application, build};
use crate::setup::builds::PIPELINE;
use crate::setup::command::{command, output, run as run_command};
use crate::{paths, progress, stack};

const IMAGE: &str = "seaworthy/flask-app:browser";
/// Connections at a time, one figure each.
const CONNECTIONS: [usize; 4] = [4, 16, 64, 128];
const SECONDS: &str = "10s";
/// Callers while the application is stopped.
const CALLERS: usize = 16;
/// How long they call before that.
const BEFORE_THE_STOP: Duration = Duration::from_secs(3);

/// Print every figure.
///
/// # Errors
/// When a request fails, or the application does not start or stop.
pub(super) fn run() -> anyhow::Result<()> {
    stack::up(PIPELINE)?;
    progress::step("building the application", || build(IMAGE))?;
    let memory = format!("--memory={}", memory_limit()?);
    let limits = [memory.as_str(), "--stop-timeout=20"];
    let application = Application::start(IMAGE, &limits)?;
    for connections in CONNECTIONS {
        load(&application, connections)?;
    }
    drop(application);
    stop_under_load(&Application::start(IMAGE, &limits)?)
}

// The memory limit of `k8s/deployment.yaml`, as Docker writes it: `256Mi` is `256m` there.
fn memory_limit() -> anyhow::Result<String> {
    let path = paths::root().join("k8s/deployment.yaml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read `{}`", path.display()))?;
    let limits = text.split_once("limits:").map(|(_, rest)| rest);
    let memory = limits
        .and_then(|rest| rest.split_once("memory:"))
        .and_then(|(_, rest)| rest.split_whitespace().next());
    let number = memory.and_then(|memory| memory.strip_suffix("Mi"));
    let number = number.context("`k8s/deployment.yaml` has no memory limit in Mi")?;
    Ok(format!("{number}m"))
}

fn load(application: &Application, connections: usize) -> anyhow::Result<()> {
    let connections = format!("--connections={connections}");
    let url = format!("{}/", application.url);
    let args = [
        "--threads=2",
        &connections,
        "--latency",
        "--duration",
        SECONDS,
        "--timeout=10s",
        &url,
    ];
    let report = output(&mut command("wrk", args))?;
    let failures: Vec<_> = report
        .lines()
        .filter(|line| line.contains("Socket errors") || line.contains("Non-2xx"))
        .collect();
    ensure!(failures.is_empty(), "with {connections}: {failures:?}");
    let value = |name: &str| {
        let line = report.lines().find(|line| line.trim().starts_with(name));
        line.and_then(|line| line.split_whitespace().last())
            .unwrap_or("?")
    };
    progress::line(format!(
        "{connections}: {} requests a second, 99 % within {}, no errors",
        value("Requests/sec:"),
        value("99%")
    ));
    Ok(())
}

// Callers with one connection a request, as through a Service, while the application gets its SIGTERM. A connection that is
// refused was never accepted: a Service has another pod for it. One that was accepted must get a complete response.
fn stop_under_load(application: &Application) -> anyhow::Result<()> {
    let address = application.address()?;
    let stopped = AtomicBool::new(false);
    let (requests, took) = std::thread::scope(|scope| {
        let caller = || {
            let mut requests = Requests::default();
            while !stopped.load(Ordering::Relaxed) {
                requests.send(address);
            }
            requests
        };
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(caller)).collect();
        std::thread::sleep(BEFORE_THE_STOP);
        let took = timed(|| run_command(&mut command("docker", ["stop", application.id()])));
        stopped.store(true, Ordering::Relaxed);
        let requests = callers
            .into_iter()
            .map(|caller| caller.join().unwrap_or_default());
        (requests.reduce(Requests::and).unwrap_or_default(), took)
    });
    progress::line(format!(
        "stopped under load: {} requests completed, {} accepted and lost, {:.1} s",
        requests.completed,
        requests.lost.values().sum::<usize>(),
        took?.as_secs_f64()
    ));
    ensure!(
        requests.lost.is_empty(),
        "requests were accepted and got no complete response: {:?}",
        requests.lost
    );
    Ok(())
}

/// The outcome of requests.
#[derive(Default)]
struct Requests {
    completed: usize,
    /// How many were lost, by the error.
    lost: BTreeMap<String, usize>,
}

impl Requests {
    fn send(&mut self, address: SocketAddr) {
        let Ok(mut stream) = TcpStream::connect(address) else {
            return;
        };
        let mut response = String::new();
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let outcome = stream
            .write_all(request)
            .and_then(|()| stream.read_to_string(&mut response));
        match outcome {
            Ok(_) if response.starts_with("HTTP/1.1 200") && response.ends_with("</html>") => {
                self.completed += 1;
            }
            Ok(_) => self.lose(format!("a response of {} bytes", response.len())),
            Err(error) => self.lose(error.to_string()),
        }
    }

    fn lose(&mut self, how: String) {
        *self.lost.entry(how).or_default() += 1;
    }

    fn and(mut self, other: Self) -> Self {
        self.completed += other.completed;
        for (how, count) in other.lost {
            *self.lost.entry(how).or_default() += count;
        }
        self
    }
}
