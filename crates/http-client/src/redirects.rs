//! Which redirects are followed.

use reqwest::{Method, StatusCode, Url};

/// The most redirects of one request.
const MAX: usize = 5;

/// Which redirects of a request are followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Redirects {
    /// None: a redirect is an error.
    #[default]
    Refused,
    /// None: a redirect is a response like any other.
    Returned,
    /// Those of a `GET` or `HEAD`, to any host; never from https to http.
    Reads,
    /// Those of a `GET` or `HEAD` to the same host; never from https to http.
    SameHost,
    /// Those to the same scheme, host and port: for a `GET` or `HEAD` all of them, otherwise `307` and `308`, which keep
    /// method and body.
    SameOrigin,
}

/// A redirect that a server responded with.
pub(crate) struct Hop<'a> {
    pub(crate) method: &'a Method,
    pub(crate) status: StatusCode,
    pub(crate) from: &'a Url,
    pub(crate) to: &'a Url,
    /// How many were followed before.
    pub(crate) before: usize,
}

impl Redirects {
    /// Whether `hop` is followed.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(self, hop: &Hop<'_>) -> Result<(), &'static str> {
        let Hop {
            method, from, to, ..
        } = hop;
        if !matches!(to.scheme(), "http" | "https") {
            return Err("it is not an http URL");
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Err("it has user information");
        }
        if from.scheme() == "https" && to.scheme() == "http" {
            return Err("it leaves https");
        }
        if hop.before == MAX {
            return Err("there were five redirects before");
        }
        let reads = matches!(**method, Method::GET | Method::HEAD);
        let keeps_body = matches!(hop.status.as_u16(), 307 | 308);
        match self {
            Self::Refused | Self::Returned => Err("the request carries a credential or a body"),
            Self::Reads | Self::SameHost if !reads => Err("the request is not a read"),
            Self::SameHost if from.host() != to.host() => Err("it is another host"),
            Self::SameOrigin if from.origin() != to.origin() => Err("it is another origin"),
            Self::SameOrigin if !reads && !keeps_body => Err("it would change the request"),
            Self::Reads | Self::SameHost | Self::SameOrigin => Ok(()),
        }
    }
}

/// Whether a response with `status` and a `Location` is a redirect (RFC 9110, section 15.4).
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (Redirects, Method, u16, &'static str, &'static str, bool);

    #[test]
    fn what_is_followed() {
        use Redirects::{Reads, Refused, SameHost, SameOrigin};
        let table: [Case; 17] = [
            (
                Refused,
                Method::GET,
                302,
                "https://a/",
                "https://a/x",
                false,
            ),
            (Reads, Method::GET, 307, "https://a/", "https://b/", true),
            (Reads, Method::HEAD, 301, "http://a/", "https://b/", true),
            (Reads, Method::GET, 302, "https://a/", "http://a/", false),
            (Reads, Method::POST, 307, "https://a/", "https://a/x", false),
            (Reads, Method::GET, 302, "https://a/", "https://u@b/", false),
            (
                Reads,
                Method::GET,
                302,
                "https://a/",
                "https://:p@b/",
                false,
            ),
            (Reads, Method::GET, 302, "https://a/", "file:///x", false),
            (SameHost, Method::GET, 302, "http://a/", "https://a/", true),
            (
                SameHost,
                Method::GET,
                302,
                "http://a/",
                "http://a.b/",
                false,
            ),
            (SameHost, Method::PUT, 308, "http://a/", "http://a/x", false),
            (
                SameOrigin,
                Method::GET,
                301,
                "https://a/",
                "https://a/x",
                true,
            ),
            (
                SameOrigin,
                Method::POST,
                307,
                "https://a/",
                "https://a/x",
                true,
            ),
            (
                SameOrigin,
                Method::PATCH,
                308,
                "https://a/",
                "https://a:443/x",
                true,
            ),
            (
                SameOrigin,
                Method::POST,
                302,
                "https://a/",
                "https://a/x",
                false,
            ),
            (
                SameOrigin,
                Method::POST,
                307,
                "https://a/",
                "https://a:8443/",
                false,
            ),
            (
                SameOrigin,
                Method::POST,
                307,
                "https://a/",
                "https://b/",
                false,
            ),
        ];
        for (redirects, method, status, from, to, followed) in table {
            let hop = Hop {
                method: &method,
                status: StatusCode::from_u16(status).unwrap(),
                from: &from.parse().unwrap(),
                to: &to.parse().unwrap(),
                before: 0,
            };
            let checked = redirects.check(&hop);
            assert_eq!(
                checked.is_ok(),
                followed,
                "{redirects:?} {method} {from} {to}"
            );
        }
    }
}
