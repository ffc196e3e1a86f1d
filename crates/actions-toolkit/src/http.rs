//! The one HTTP client.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

/// Make ring the TLS provider of the process. Any number of calls is fine.
pub fn install_tls_provider() {
    // An error means that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client that trusts the system's certificates (`SSL_CERT_FILE` is honoured) and uses the
/// system's proxies. A connection may take 10 seconds; limits on answers are the caller's.
///
/// # Errors
/// When the certificates cannot be loaded.
pub fn client() -> anyhow::Result<reqwest::Client> {
    install_tls_provider();
    reqwest::Client::builder()
        .user_agent(concat!("seaworthy/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .build()
        .with_context(|| {
            let given = std::env::var_os("SSL_CERT_FILE");
            cause(given.as_deref().map(Path::new))
        })
}

fn cause(given: Option<&Path>) -> String {
    const DOING: &str = "while preparing the HTTP client";
    match given {
        Some(file) if !file.is_file() => format!(
            "{DOING}: there is no file `{}`, and `SSL_CERT_FILE` names it; in a container action it has to be in the workspace",
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
    fn a_file_of_certificates_that_is_not_there_is_named() {
        let said = cause(Some(Path::new("/no/such.pem")));
        assert!(said.contains("there is no file `/no/such.pem`"), "{said}");
        for given in [None, Some(Path::new("/etc/hosts"))] {
            assert!(cause(given).ends_with("(package `ca-certificates`)?"));
        }
    }
}
