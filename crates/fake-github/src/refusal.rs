//! GitHub's refusals, with GitHub's messages, for tests that inject one.

use serde_json::json;

use testkit::Fault;

/// A refusal of GitHub.
///
/// Source: docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api and
/// …/rate-limits-for-the-rest-api; docs.github.com/rest/code-scanning for its own 403s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 401: the token is not valid.
    BadCredentials,
    /// 403: the token lacks a permission.
    NoPermission,
    /// 403: code scanning needs a license that the repository does not have.
    NoAdvancedSecurity,
    /// 403: code scanning is switched off.
    CodeScanningOff,
    /// 403 with no requests left until a later time.
    RateLimit {
        /// Seconds until then.
        reset: i64,
    },
    /// 403 with `Retry-After`: too much in too short a time.
    SecondaryRateLimit {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// 429 with `Retry-After`.
    TooManyRequests {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// 404: it does not exist, or the token may not see it.
    NotFound,
    /// 413: the SARIF file is too large.
    TooLarge,
    /// 422: a value is refused.
    Invalid,
    /// 502: a gateway got no response; the body is a page, not JSON.
    BadGateway,
    /// 503: the service is down.
    Unavailable,
}

impl Refusal {
    fn status_and_message(self) -> (u16, &'static str) {
        match self {
            Self::BadCredentials => (401, "Bad credentials"),
            Self::NoPermission => (403, "Resource not accessible by integration"),
            Self::NoAdvancedSecurity => (
                403,
                "Advanced Security must be enabled for this repository to use code scanning.",
            ),
            Self::CodeScanningOff => (
                403,
                "Code scanning is not enabled for this repository. Please enable code scanning in the repository settings.",
            ),
            Self::RateLimit { .. } => (403, "API rate limit exceeded for installation."),
            Self::SecondaryRateLimit { .. } => (
                403,
                "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
            ),
            Self::TooManyRequests { .. } => (
                429,
                "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
            ),
            Self::NotFound => (404, "Not Found"),
            Self::TooLarge => (413, "SARIF upload is too large"),
            Self::Invalid => (422, "Validation Failed"),
            Self::BadGateway => (502, "Server Error"),
            Self::Unavailable => (503, "Service unavailable"),
        }
    }
}

impl Refusal {
    /// This refusal of the next request whose line `METHOD /path?query` contains `path`.
    pub fn fault(self, path: &str) -> Fault {
        let (status, message) = self.status_and_message();
        let body = json!({
            "message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string(),
        });
        let fault = Fault::new(path, status, &body.to_string());
        match self {
            Self::RateLimit { reset } => {
                let reset = jiff::Timestamp::now().as_second() + reset;
                fault
                    .header("x-ratelimit-remaining", "0")
                    .header("x-ratelimit-used", "5000")
                    .header("x-ratelimit-reset", &reset.to_string())
            }
            Self::SecondaryRateLimit { retry_after } | Self::TooManyRequests { retry_after } => {
                fault.header("retry-after", &retry_after.to_string())
            }
            Self::NoPermission => {
                fault.header("x-accepted-github-permissions", "security_events=write")
            }
            Self::BadGateway => {
                let page = "<html><head><title>502 Bad Gateway</title></head></html>";
                Fault::new(path, status, page).header("content-type", "text/html")
            }
            _ => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::Operation;
    use super::*;

    #[test]
    fn every_refusal_has_the_shape_of_githubs_errors() {
        let upload = Operation::find("POST", "/repos/{owner}/{repo}/code-scanning/sarifs")
            .expect("the operation");
        for refusal in [
            Refusal::BadCredentials,
            Refusal::NoPermission,
            Refusal::NoAdvancedSecurity,
            Refusal::CodeScanningOff,
            Refusal::RateLimit { reset: 60 },
            Refusal::SecondaryRateLimit { retry_after: 60 },
            Refusal::TooManyRequests { retry_after: 60 },
            Refusal::NotFound,
            Refusal::TooLarge,
            Refusal::Unavailable,
        ] {
            let fault = refusal.fault("/sarifs");
            let body = serde_json::from_str(&fault.body).expect("JSON");
            let problem = upload.response_problem(fault.status, &body);
            assert!(problem.is_none(), "{refusal:?}: {problem:?}");
        }
    }
}
