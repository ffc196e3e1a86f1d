//! Faults on demand, and a journal of the requests.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};

/// A response in place of the right one, once.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Part of the line `METHOD /path?query` of its request.
    pub path: String,
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    how: How,
}

/// What happens in place of the response, or before it.
#[derive(Debug, Clone, Default, PartialEq)]
enum How {
    /// The response of the fault.
    #[default]
    Respond,
    /// The connection is closed without one.
    HangUp,
    /// The right response, later.
    Late(Duration),
    /// The right response, after a signal to the process.
    Signal(&'static str, Process),
}

/// A process that becomes known when it connects.
#[derive(Debug, Clone)]
struct Process(Arc<AtomicI32>);

impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Fault {
    /// `status` with a JSON `body` for the next request whose line `METHOD /path?query` contains
    /// `path`.
    pub fn new(path: &str, status: u16, body: &str) -> Self {
        Self {
            path: path.into(),
            status,
            body: body.into(),
            headers: Vec::new(),
            how: How::Respond,
        }
    }

    /// No response to that request: its connection is closed.
    pub fn hang_up(path: &str) -> Self {
        Self {
            how: How::HangUp,
            ..Self::new(path, 500, "")
        }
    }

    /// The right response to that request, after `late`.
    pub fn slow(path: &str, late: Duration) -> Self {
        Self {
            how: How::Late(late),
            ..Self::new(path, 200, "")
        }
    }

    /// The right response to that request, after SIGTERM to the process of this id, as when the runner stops the step.
    pub fn terminate(path: &str, process: &Arc<AtomicI32>) -> Self {
        Self {
            how: How::Signal("-TERM", Process(Arc::clone(process))),
            ..Self::new(path, 200, "")
        }
    }

    /// The same after SIGKILL, as when the machine is lost: the process does nothing more.
    pub fn kill(path: &str, process: &Arc<AtomicI32>) -> Self {
        Self {
            how: How::Signal("-KILL", Process(Arc::clone(process))),
            ..Self::new(path, 200, "")
        }
    }

    /// Add a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// The faults that a server will inject, and the journal of its requests.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Pending>>);

#[derive(Debug, Default)]
struct Pending {
    faults: Vec<Fault>,
    journal: Vec<String>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Inject `fault` into the first request that matches it.
    pub fn expect(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Whether every fault has met a request.
    pub fn is_met(&self) -> bool {
        self.lock().faults.is_empty()
    }

    /// `METHOD /path?query` of every request so far.
    pub fn journal(&self) -> Vec<String> {
        self.lock().journal.clone()
    }

    /// `router`, with the faults in front of it.
    pub fn inject(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), intercept))
    }

    fn take(&self, request: &Request) -> Option<Fault> {
        let mut state = self.lock();
        let uri = request.uri().path_and_query().map_or("", |p| p.as_str());
        let line = format!("{} {uri}", request.method());
        let at = state
            .faults
            .iter()
            .position(|fault| line.contains(&fault.path));
        state.journal.push(line);
        Some(state.faults.remove(at?))
    }
}

async fn intercept(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    let Some(fault) = faults.take(&request) else {
        return next.run(request).await;
    };
    match fault.how {
        How::Respond => {}
        How::HangUp => return hang_up(),
        How::Late(late) => {
            tokio::time::sleep(late).await;
            return next.run(request).await;
        }
        How::Signal(signal, process) => {
            let id = process.0.load(Ordering::SeqCst).to_string();
            // The test checks whether it arrived.
            let _ = tokio::process::Command::new("kill")
                .args([signal, &id])
                .status()
                .await;
            return next.run(request).await;
        }
    }
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [("content-type", "application/json")], fault.body).into_response();
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

// A body that fails before its first byte takes the connection with it, head and all.
fn hang_up() -> Response {
    let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let nothing = futures_util::stream::once(async move { Err::<Vec<u8>, _>(error) });
    Response::new(Body::from_stream(nothing))
}
