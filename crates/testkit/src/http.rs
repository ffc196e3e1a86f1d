//! What the servers share: listening, faults on demand, a journal.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;

/// An answer to be given instead of the right one, once.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Part of the path of the request that it is for.
    pub path: String,
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

impl Fault {
    /// `status` with a JSON `body` for the next request whose path contains `path`.
    pub fn new(path: &str, status: u16, body: &str) -> Self {
        Self {
            path: path.into(),
            status,
            body: body.into(),
            headers: Vec::new(),
        }
    }

    /// Add a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Faults to come and requests that came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<(Vec<Fault>, Vec<String>)>>);

impl Desk {
    pub(crate) fn expect(&self, fault: Fault) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .push(fault);
    }

    /// `METHOD /path?query` of every request so far.
    pub(crate) fn journal(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .clone()
    }

    fn take(&self, request: &Request) -> Option<Fault> {
        let mut desk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uri = request.uri().path_and_query().map_or("", |p| p.as_str());
        desk.1.push(format!("{} {uri}", request.method()));
        let at = desk.0.iter().position(|fault| uri.contains(&fault.path))?;
        Some(desk.0.remove(at))
    }
}

async fn desk(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let Some(fault) = desk.take(&request) else {
        return next.run(request).await;
    };
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = (status, [("content-type", "application/json")], fault.body).into_response();
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// A server that ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("while opening {address}: is it in use?"))
}

pub(crate) fn watched(router: Router, desk_: &Desk) -> Router {
    router.layer(from_fn_with_state(desk_.clone(), desk))
}

pub(crate) async fn start(address: SocketAddr, router: Router) -> anyhow::Result<Server> {
    let listener = listen(address).await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        // It ends with an error only when the listener is gone.
        let _ = axum::serve(listener, router).await;
    });
    Ok(Server { address, task })
}

pub(crate) async fn start_tls(
    address: SocketAddr,
    router: Router,
    config: rustls::ServerConfig,
) -> anyhow::Result<Server> {
    let listener = listen(address).await?;
    let address = listener.local_addr()?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                // A client that breaks off has nobody to be told.
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = hyper_util::service::TowerToHyperService::new(router);
                let io = hyper_util::rt::TokioIo::new(stream);
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, service)
                    .await;
            });
        }
    });
    Ok(Server { address, task })
}
