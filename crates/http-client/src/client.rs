//! Building the client.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, ClientBuilder, IntoUrl, Method, Url, redirect};

use crate::Request;

/// Timeout of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of a connection for [`Client::reaching`].
const REACH_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout of a request and its response, unless the request has its own.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An HTTP client. Cheap to clone; the clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// For plain HTTP to this machine. A proxy would see the credentials, and has another machine of that name.
    local: reqwest::Client,
}

/// Which certificates of servers a [`Client`] accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificates {
    /// Those that are valid for the host, by a CA certificate of the system.
    Verified,
    /// Any: only for requests that carry no credential, and whose response decides nothing that an attacker gains from.
    Any,
}

/// Finds every host name at the addresses of another one.
struct At(Arc<str>);

impl Resolve for At {
    fn resolve(&self, _: Name) -> Resolving {
        let host = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((&*host, 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Make ring the TLS provider of the process. Any number of calls is fine.
pub fn install_tls_provider() {
    // An error means that a provider is installed already, which is as it should be.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Client {
    /// A client that trusts the system's certificates (`SSL_CERT_FILE` is honored) and uses the
    /// system's proxies, except for plain HTTP to this machine (as Go does, `http.ProxyFromEnvironment`).
    ///
    /// # Errors
    /// When the certificates cannot be loaded.
    pub fn new() -> anyhow::Result<Self> {
        build(|builder| builder).with_context(|| {
            let given = std::env::var_os("SSL_CERT_FILE");
            cause(given.as_deref().map(Path::new))
        })
    }

    /// A client for a server on this machine: the system's proxies are not used.
    ///
    /// # Errors
    /// When the certificates cannot be loaded.
    pub fn direct() -> anyhow::Result<Self> {
        build(ClientBuilder::no_proxy).context("failed to create the HTTP client")
    }

    /// A client that trusts the CA certificate `pem` alone and uses no proxy.
    ///
    /// # Errors
    /// When `pem` is not a certificate.
    pub fn trusting(pem: &[u8]) -> anyhow::Result<Self> {
        let certificate = Certificate::from_pem(pem).context("invalid CA certificate")?;
        build(|builder| builder.no_proxy().tls_certs_only([certificate]))
            .context("failed to create the HTTP client")
    }

    /// A client for any server that has no secret to keep. With `address`, an IP address or a host name, each host name
    /// is looked for there and not in DNS, and no proxy is used: the server gets the name as `Host` and in the TLS
    /// handshake.
    ///
    /// A connection may take 3 seconds: one that a load balancer gave to a server which is ending never comes, as the
    /// balancer keeps it there however often it is tried. The next one goes elsewhere.
    ///
    /// # Errors
    /// When the certificates cannot be loaded.
    pub fn reaching(address: Option<&str>, certificates: Certificates) -> anyhow::Result<Self> {
        build(|builder| {
            let builder = builder.connect_timeout(REACH_TIMEOUT);
            let builder = match certificates {
                Certificates::Verified => builder,
                Certificates::Any => builder.tls_danger_accept_invalid_certs(true),
            };
            match address {
                Some(address) => builder.no_proxy().dns_resolver(At(address.into())),
                None => builder,
            }
        })
        .context("failed to create the HTTP client")
    }

    /// A request. An invalid `url` is an error of [`Request::send`].
    pub fn request(&self, method: Method, url: impl IntoUrl) -> Request {
        let builder = self.http.request(method, url);
        Request::new(self.clone(), builder)
    }

    /// The client for requests to `url`.
    pub(crate) fn for_url(&self, url: &Url) -> &reqwest::Client {
        if url.scheme() == "http" && is_local(url) {
            &self.local
        } else {
            &self.http
        }
    }

    /// A `GET` request.
    pub fn get(&self, url: impl IntoUrl) -> Request {
        self.request(Method::GET, url)
    }

    /// A `POST` request.
    pub fn post(&self, url: impl IntoUrl) -> Request {
        self.request(Method::POST, url)
    }

    /// A `PUT` request.
    pub fn put(&self, url: impl IntoUrl) -> Request {
        self.request(Method::PUT, url)
    }
}

// Redirects are followed by `Request::send`, which knows what the request carries. A `Referer` would show the whole URL
// of a request to the host that it is redirected to.
fn build(configure: impl FnOnce(ClientBuilder) -> ClientBuilder) -> reqwest::Result<Client> {
    install_tls_provider();
    Ok(Client {
        http: configure(builder()).build()?,
        // It has no use for certificates.
        local: builder().no_proxy().tls_certs_only([]).build()?,
    })
}

fn builder() -> ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("seaworthy/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none())
        .referer(false)
}

/// Whether what is sent to `url` is read by its host alone: it goes by `https`, or to this machine.
pub fn is_confidential(url: &Url) -> bool {
    url.scheme() == "https" || is_local(url)
}

/// Whether the host of `url` is this machine.
pub fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
}

fn cause(given: Option<&Path>) -> String {
    const DOING: &str = "failed to create the HTTP client";
    match given {
        Some(file) if !file.is_file() => format!(
            "{DOING}: `SSL_CERT_FILE` names `{}`, which does not exist; in a container action the file has to be in the workspace",
            file.display()
        ),
        _ => format!(
            "{DOING}: are the system's CA certificates installed (package `ca-certificates`)?"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_of_certificates_is_named() {
        let message = cause(Some(Path::new("/no/such.pem")));
        assert!(
            message.contains("`/no/such.pem`, which does not exist"),
            "{message}"
        );
        for given in [None, Some(Path::new("/etc/hosts"))] {
            assert!(cause(given).ends_with("(package `ca-certificates`)?"));
        }
    }
}
