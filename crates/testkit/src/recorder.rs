//! A server that responds as a test says, and records what it got.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;

use crate::server::{Server, listen, start, start_tls};
use crate::{FakeRunner, Ran};

/// The largest request that is recorded, in bytes.
const LIMIT: usize = 16 * 1024 * 1024;

/// What a step may use of memory, in megabytes.
const MEMORY: u32 = 200;

/// A request that a [`Recorder`] got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `METHOD /path?query`.
    pub line: String,
    /// The address that it was sent to.
    pub host: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// The server.
pub struct Recorder {
    server: Server,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    /// A server on this machine that responds to each request with what `respond` returns.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(
        respond: impl Fn(&Seen) -> Response + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener = listen(([127, 0, 0, 1], 0).into()).await?;
        let (router, seen) = router(respond);
        let server = start(listener, router)?;
        Ok(Self { server, seen })
    }

    /// The same with TLS.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_tls(
        config: rustls::ServerConfig,
        respond: impl Fn(&Seen) -> Response + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener = listen(([127, 0, 0, 1], 0).into()).await?;
        let (router, seen) = router(respond);
        let server = start_tls(listener, router, config)?;
        Ok(Self { server, seen })
    }

    /// Its address, `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.server.address.to_string()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// The `Authorization` headers of the requests so far; an empty one stands where there is none.
    pub fn authorizations(&self) -> Vec<String> {
        let seen = self.seen().into_iter();
        seen.map(|seen| seen.authorization.unwrap_or_default())
            .collect()
    }
}

fn router(
    respond: impl Fn(&Seen) -> Response + Send + Sync + 'static,
) -> (Router, Arc<Mutex<Vec<Seen>>>) {
    let all = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&all);
    let respond = Arc::new(respond);
    let router = Router::new().fallback(move |request: Request| {
        let (recorded, respond) = (Arc::clone(&recorded), Arc::clone(&respond));
        async move {
            let seen = see(request).await;
            let response = respond(&seen);
            let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
            recorded.push(seen);
            response
        }
    });
    (router, all)
}

async fn see(request: Request) -> Seen {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        let value = parts.headers.get(name)?;
        Some(value.to_str().unwrap_or_default().to_owned())
    };
    let body = axum::body::to_bytes(body, LIMIT).await;
    Seen {
        line: format!("{} {}", parts.method, parts.uri),
        host: header("host").unwrap_or_default(),
        authorization: header("authorization"),
        body: body.unwrap_or_default().to_vec(),
    }
}

/// A body that does not end, and how many bytes of it were sent.
pub fn endless() -> (Body, Arc<AtomicU64>) {
    let sent = Arc::new(AtomicU64::new(0));
    (endless_that_counts(&sent), sent)
}

fn endless_that_counts(sent: &Arc<AtomicU64>) -> Body {
    static PIECE: [u8; 64 * 1024] = [b' '; 64 * 1024];
    let count = Arc::clone(sent);
    let stream = futures_util::stream::repeat_with(move || {
        count.fetch_add(PIECE.len() as u64, Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from_static(&PIECE))
    });
    Body::from_stream(stream)
}

/// A server on this machine whose responses do not end, but for those that `known` has.
pub struct Endless {
    recorder: Recorder,
    sent: Arc<AtomicU64>,
}

impl Endless {
    /// # Errors
    /// When no port is free.
    pub async fn start(
        known: impl Fn(&Seen) -> Option<Response> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let sent = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&sent);
        let respond = move |seen: &Seen| {
            known(seen).unwrap_or_else(|| Response::new(endless_that_counts(&count)))
        };
        let recorder = Recorder::start(respond).await?;
        Ok(Self { recorder, sent })
    }

    /// Its address, `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.recorder.host()
    }

    /// Run `step` with little memory, and assert that it read from a response that does not end, and ended by itself.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn is_cut_off(&self, step: FakeRunner) -> Ran {
        let before = self.sent.load(Ordering::Relaxed);
        let ran = step.memory(MEMORY).run();
        assert!([0, 2, 3].contains(&ran.code), "{}: {}", ran.code, ran.log);
        let sent = self.sent.load(Ordering::Relaxed);
        let seen: Vec<_> = self
            .recorder
            .seen()
            .into_iter()
            .map(|seen| seen.line)
            .collect();
        assert!(sent > before, "{seen:#?}: {}", ran.log);
        ran
    }
}

/// `size` zeros, compressed by gzip.
///
/// # Errors
/// Never: it is written into memory.
pub fn zeros(size: usize) -> std::io::Result<Vec<u8>> {
    use std::io::Write as _;
    let level = flate2::Compression::best();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), level);
    packed.write_all(&vec![0; size])?;
    packed.finish()
}
