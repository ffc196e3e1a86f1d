//! A run of Trivy that connects to nothing.
//!
//! A tree with Terraform names modules, and Trivy loads what is elsewhere: it queries the registry of a module, and runs git, or
//! downloads from a web server or a bucket with the credentials of the machine (`pkg/iac/scanners/terraform/parser/resolvers`). So
//! a pull request would choose the hosts that a scan contacts. Trivy 0.74 has no option against it: what it needs is taken away.

use std::io;
use std::path::Path;

use actions_toolkit::{Env, PrivateDirectory};
use tool::{PROXY_VARIABLES, Tool};

/// Where Trivy stores modules, in its directory for temporary files (`resolvers/cache.go`). It downloads none where this can't be
/// a directory, and finds none that another process of the machine has put there.
const MODULES: &str = ".aqua";
/// A proxy to which no connection can be made, for the registries of modules: nothing listens at port 0. Go, git and the clients
/// of clouds use it; only a loopback address is contacted without it (golang.org/x/net/http/httpproxy).
const PROXY: &str = "http://127.0.0.1:0";
/// What else a program reads to reach the network, or to sign in.
const VARIABLES: &[(&str, &str)] = &[
    // No server is trusted, also none at a loopback address: it gets no request.
    ("SSL_CERT_FILE", "/dev/null"),
    ("SSL_CERT_DIR", "/nonexistent"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    // docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// Parts of the errors by which a module is missing because of this: the directory, and a request that failed.
const REFUSED: &[&str] = &["failed to locate cache directory", "Get \"http"];

/// What a run needs that connects to nothing; its temporary files are removed with this.
pub(crate) struct Isolated {
    directory: PrivateDirectory,
}

impl Isolated {
    /// A new one, with its directory where the runner has temporary files.
    ///
    /// # Errors
    /// When the directory can't be created.
    pub(crate) fn create(env: &Env) -> io::Result<Self> {
        // An absolute path: Trivy runs in another directory.
        Self::create_in(&std::path::absolute(env.temp_dir())?)
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        let directory = PrivateDirectory::create_in(parent, "trivy")?;
        std::fs::write(directory.path().join(MODULES), "")?;
        Ok(Self { directory })
    }

    /// `tool` without a network.
    pub(crate) fn apply(&self, tool: Tool) -> Tool {
        let mut tool = tool.env("TMPDIR", self.directory.path());
        for name in PROXY_VARIABLES {
            let is_exception = name.eq_ignore_ascii_case("NO_PROXY");
            tool = tool.env(name, if is_exception { "" } else { PROXY });
        }
        for (name, value) in VARIABLES {
            tool = tool.env(name, value);
        }
        tool
    }
}

/// Whether `reason` is that of a module which would have to be downloaded.
pub(crate) fn is_refused(reason: &str) -> bool {
    REFUSED.iter().any(|part| reason.starts_with(part))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actions_toolkit::Log;

    use super::*;

    #[tokio::test]
    async fn a_tool_has_no_proxy_no_trusted_server_and_no_directory_for_modules() {
        let parent = tempfile::tempdir().unwrap();
        let isolated = Isolated::create_in(parent.path()).unwrap();
        let env = Env::from_pairs([
            ("PATH", std::env::var("PATH").unwrap()),
            ("HTTPS_PROXY", "http://u:p@proxy.example:3128".to_owned()),
            ("no_proxy", "internal.example".to_owned()),
            ("SSL_CERT_FILE", "/etc/ssl/certs/ca.crt".to_owned()),
        ]);
        let script = "env; mkdir -p \"$TMPDIR/.aqua/cache\" 2>/dev/null || echo refused";
        let tool = Tool::new("sh", &env)
            .args(["-c", script])
            .timeout(Duration::from_secs(10));
        let log = Log::sink();
        let ran = isolated.apply(tool).capture(&log, "t").await.unwrap();
        let output = String::from_utf8(ran.stdout).unwrap();
        let lines: Vec<_> = output.lines().collect();
        for line in [
            "HTTPS_PROXY=http://127.0.0.1:0",
            "http_proxy=http://127.0.0.1:0",
            "NO_PROXY=",
            "no_proxy=",
            "SSL_CERT_FILE=/dev/null",
            "GIT_ALLOW_PROTOCOL=none",
            "refused",
        ] {
            assert!(lines.contains(&line), "{line} is not in {output}");
        }
        assert!(!output.contains("example"), "{output}");
        drop(isolated);
        assert_eq!(parent.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_module_that_is_not_downloaded_is_known_by_the_error() {
        for (reason, expected) in [
            (
                "failed to locate cache directory: mkdir /tmp/x/.aqua: not a directory",
                true,
            ),
            (
                "Get \"https://registry.terraform.io/v1/modules/a/b/c/download\": proxyconnect tcp: x",
                true,
            ),
            ("read dir: file does not exist", false),
        ] {
            assert_eq!(is_refused(reason), expected, "{reason}");
        }
    }
}
