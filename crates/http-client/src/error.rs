//! Why there is no response, or not all of its body.

use std::fmt;

use reqwest::Url;

/// Why a request failed, or its response could not be read. No message has a URL: its query may be a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no response, or it broke off.
    #[error(transparent)]
    Transport(reqwest::Error),
    /// A redirect that is not followed.
    #[error("`{from}` redirects to `{to}`, which is not followed: {reason}")]
    Redirect {
        /// The host that responded, with its port if it has one.
        from: String,
        /// The host in `Location`.
        to: String,
        /// Why.
        reason: &'static str,
    },
    /// The body is too large.
    #[error("the response of `{host}` is over the limit of {}", Size(*limit))]
    TooLarge {
        /// The host that responded.
        host: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The body is JSON of too many values: each takes far more memory than its text.
    #[error("the response of `{host}` is over the limit of {limit} JSON values")]
    TooManyValues {
        /// The host that responded.
        host: String,
        /// The limit.
        limit: usize,
    },
    /// The body is not the expected JSON. The cause names the place only: the text there may be a credential.
    #[error("failed to read the response of `{host}`: {}", json_problem(error))]
    Json {
        /// The host that responded.
        host: String,
        /// The cause.
        error: serde_json::Error,
    },
    /// The body can't be written to a file.
    #[error("failed to write the response of `{host}`: {error}")]
    Write {
        /// The host that responded.
        host: String,
        /// The cause.
        error: std::io::Error,
    },
}

impl Error {
    /// Whether no connection could be made.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Transport(e) if e.is_connect())
    }

    /// Whether the timeout is over.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Transport(e) if e.is_timeout())
    }

    /// Whether another attempt at the request may get a response.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transport(e) if !e.is_builder() && !e.is_decode())
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

/// The host of `url`, with its port if it has one.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn json_problem(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let problem = match error.classify() {
        Category::Data => "it does not have the expected fields",
        Category::Eof => "it ends too early",
        Category::Io | Category::Syntax => "it is not JSON",
    };
    let (line, column) = (error.line(), error.column());
    format!("{problem} (line {line}, column {column})")
}

struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: u64 = 1024;
        match self.0 {
            bytes if bytes > 0 && bytes % (KIB * KIB) == 0 => {
                write!(f, "{} MiB", bytes / KIB / KIB)
            }
            bytes if bytes > 0 && bytes % KIB == 0 => write!(f, "{} KiB", bytes / KIB),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_units() {
        let table = [
            (64 * 1024, "64 KiB"),
            (4 * 1024 * 1024, "4 MiB"),
            (1000, "1000 bytes"),
        ];
        for (bytes, text) in table {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
