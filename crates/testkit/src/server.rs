//! Listening, with and without TLS, until told to stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::serve::Listener;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A server that ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Take no more connections, and let the requests that are under way end.
    pub async fn stop(self) {
        let Self { stop, task, .. } = self;
        drop(stop);
        // It ends with an error only when it panicked, which its own output tells.
        let _ = task.await;
    }
}

/// Open a port; port 0 is any free one.
///
/// # Errors
/// When it is in use.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("while opening {address}: is it in use?"))
}

/// Serve `router` at `listener`.
///
/// # Errors
/// When the listener has no address.
pub fn start(listener: TcpListener, router: Router) -> anyhow::Result<Server> {
    let address = listener.local_addr()?;
    Ok(serve(address, listener, router))
}

/// TLS with the certificate `<name>.{crt,key}` in `folder`.
///
/// # Errors
/// When a file is missing or malformed.
pub fn tls_config(folder: &Path, name: &str) -> anyhow::Result<rustls::ServerConfig> {
    // An error means that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = CertificateDer::from_pem_file(folder.join(format!("{name}.crt")))
        .with_context(|| format!("while reading the certificate `{name}.crt`"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key")))
        .with_context(|| format!("while reading the key `{name}.key`"))?;
    Ok(rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?)
}

/// Serve `router` at `listener` with TLS.
///
/// # Errors
/// When the listener has no address.
pub fn start_tls(
    listener: TcpListener,
    router: Router,
    config: rustls::ServerConfig,
) -> anyhow::Result<Server> {
    let address = listener.local_addr()?;
    Ok(serve(address, Tls::new(listener, config)?, router))
}

fn serve<L>(address: SocketAddr, listener: L, router: Router) -> Server
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let (stop, mut stopped) = watch::channel(());
    let task = tokio::spawn(async move {
        let told = async move {
            // The other end says nothing: it goes away.
            let _ = stopped.changed().await;
        };
        // It never ends with an error (axum::serve's own words).
        let _ = axum::serve(listener, router)
            .with_graceful_shutdown(told)
            .await;
    });
    Server {
        address,
        stop,
        task,
    }
}

/// Connections whose handshake is done. A client that is slow at it holds up nobody else.
struct Tls {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Tls {
    fn new(listener: TcpListener, config: rustls::ServerConfig) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (done, ready) = mpsc::channel(16);
        let accepting = tokio::spawn(async move {
            let mut listener = listener;
            loop {
                let (stream, peer) = Listener::accept(&mut listener).await;
                let (acceptor, done) = (acceptor.clone(), done.clone());
                tokio::spawn(async move {
                    // A client that breaks off has nobody to be told.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = done.send((stream, peer)).await;
                    }
                });
            }
        });
        Ok(Self {
            ready,
            address,
            accepting,
        })
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // The task that accepts ends with this listener only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}
