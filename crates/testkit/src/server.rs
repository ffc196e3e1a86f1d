//! A server with and without TLS, until it is stopped.

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
    /// Accept no more connections, and finish the requests in progress.
    pub async fn stop(self) {
        let Self { stop, task, .. } = self;
        drop(stop);
        // An error means that it panicked, which is in its output.
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
        .with_context(|| format!("failed to listen at {address}; is it in use?"))
}

/// Serve `router` at `listener`.
///
/// # Errors
/// When the listener has no address.
pub fn start(listener: TcpListener, router: Router) -> anyhow::Result<Server> {
    let address = listener.local_addr()?;
    Ok(serve(address, listener, router))
}

/// TLS with the certificate `<name>.{crt,key}` in `directory`.
///
/// # Errors
/// When a file is missing or malformed.
pub fn tls_config(directory: &Path, name: &str) -> anyhow::Result<rustls::ServerConfig> {
    // An error means that a provider is installed already, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = CertificateDer::from_pem_file(directory.join(format!("{name}.crt")))
        .with_context(|| format!("failed to read the certificate `{name}.crt`"))?;
    let key = PrivateKeyDer::from_pem_file(directory.join(format!("{name}.key")))
        .with_context(|| format!("failed to read the key `{name}.key`"))?;
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
        let stopped = async move {
            // The sender never sends: it is dropped.
            let _ = stopped.changed().await;
        };
        // It never ends with an error (the documentation of `axum::serve`).
        let _ = axum::serve(listener, router)
            .with_graceful_shutdown(stopped)
            .await;
    });
    Server {
        address,
        stop,
        task,
    }
}

/// Connections whose handshake is done. A client that is slow at it does not delay others.
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
                    // A client that disconnected needs no response.
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
