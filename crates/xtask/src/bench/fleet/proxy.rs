//! A proxy on the wire that counts requests and bytes.

use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;

/// What ends the first line of a request, and is in no header or compressed body.
const REQUEST: &[u8] = b" HTTP/1.1\r\n";

/// What went through a proxy.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traffic {
    pub(super) requests: u64,
    /// From the server.
    pub(super) received: u64,
}

/// A proxy in front of one server.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    requests: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
}

impl Proxy {
    /// Start one in front of `server`.
    ///
    /// # Errors
    /// When there is no port.
    pub(super) fn start(server: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("failed to open a port")?;
        let proxy = Self {
            address: listener.local_addr()?,
            requests: Arc::default(),
            received: Arc::default(),
        };
        let (requests, received) = (Arc::clone(&proxy.requests), Arc::clone(&proxy.received));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(upstream) = TcpStream::connect(&server) else {
                    continue;
                };
                connect(client, upstream, &requests, &received);
            }
        });
        Ok(proxy)
    }

    /// What went through since the last call.
    pub(super) fn take(&self) -> Traffic {
        Traffic {
            requests: self.requests.swap(0, Ordering::Relaxed),
            received: self.received.swap(0, Ordering::Relaxed),
        }
    }
}

fn connect(
    client: TcpStream,
    upstream: TcpStream,
    requests: &Arc<AtomicU64>,
    received: &Arc<AtomicU64>,
) {
    let (Ok(from_client), Ok(to_upstream)) = (client.try_clone(), upstream.try_clone()) else {
        return;
    };
    let (requests, received) = (Arc::clone(requests), Arc::clone(received));
    std::thread::spawn(move || {
        let mut end = Vec::new();
        pass(from_client, to_upstream, |bytes| {
            // A line may be in two parts.
            end.extend_from_slice(bytes);
            let found = end.windows(REQUEST.len()).filter(|part| *part == REQUEST);
            requests.fetch_add(found.count() as u64, Ordering::Relaxed);
            let rest = end.len().saturating_sub(REQUEST.len() - 1);
            end.drain(..rest);
        });
    });
    std::thread::spawn(move || {
        pass(upstream, client, |bytes| {
            received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        });
    });
}

// Until either side closes its connection.
fn pass(mut from: TcpStream, mut to: TcpStream, mut seen: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        seen(bytes);
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
