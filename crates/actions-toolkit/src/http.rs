//! The one HTTP client.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

/// Make ring the TLS provider of the process. Any number of calls is fine.
pub fn install_tls_provider() {
    // An error means that a provider is installed already, which is as it should be.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client that trusts the system's certificates (`SSL_CERT_FILE` is honored) and uses the
/// system's proxies. A connection may take 10 seconds; timeouts of responses are the caller's.
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
