//! Where the health of the application is queried: at a URL, or by the API server from inside the cluster.

use std::fmt;

use http_client::{Certificates, Client, Error, Url};
use kube::client::Body;

use super::address::HttpPort;
use super::response::{Health, Problem, judge, not_followed, query};
use super::site::Site;
use crate::kubernetes::{Cluster, Object, Proxied};

/// The resource of a request that the API server passes on.
const RESOURCE: &str = "services/proxy";
/// The redirects of one request that are followed, as `http_client` does.
const REDIRECTS: usize = 5;
/// Where paths in the API are: only the path matters.
const API: &str = "https://api-server.invalid";

/// Where the health is queried.
#[derive(Debug)]
pub(super) struct Endpoint {
    by: By,
    /// Where the URL is looked for, if that is another host.
    at: Option<String>,
    /// The URL, or the path in the API of the cluster.
    target: String,
}

#[derive(Debug)]
enum By {
    Client(Client),
    ApiServer {
        /// The Service in the API: what is below it is of the application.
        service: String,
    },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        match (&self.by, &self.at) {
            (By::ApiServer { .. }, _) => write!(f, "{target} of the API server"),
            (By::Client(_), Some(at)) => write!(f, "{target} at {at}"),
            (By::Client(_), None) => f.write_str(target),
        }
    }
}

impl Endpoint {
    /// At `url`.
    ///
    /// # Errors
    /// When the system's certificates cannot be loaded.
    pub(super) fn at_url(url: String, certificates: Certificates) -> anyhow::Result<Self> {
        Ok(Self {
            by: By::Client(Client::reaching(None, certificates)?),
            at: None,
            target: url,
        })
    }

    /// At each address of `site`, with its host name.
    ///
    /// # Errors
    /// As [`Endpoint::at_url`].
    pub(super) fn at_site(site: &Site, certificates: Certificates) -> anyhow::Result<Vec<Self>> {
        let addresses = site.addresses.iter();
        let endpoints = addresses.map(|address| {
            let at = site.host.is_some().then(|| address.clone());
            Ok(Self {
                by: By::Client(Client::reaching(at.as_deref(), certificates)?),
                at,
                target: site.url(address),
            })
        });
        endpoints.collect()
    }

    /// `path` at the `port` of `service`, by the API server: one that machines outside the cluster may not reach
    /// (kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services).
    pub(super) fn in_cluster(service: &Object, port: HttpPort, path: &str) -> Self {
        let namespace = service.namespace_or_default();
        let scheme = if port.scheme == "https" { "https:" } else { "" };
        let (name, port) = (service.name(), port.port);
        let service =
            format!("/api/v1/namespaces/{namespace}/services/{scheme}{name}:{port}/proxy");
        Self {
            at: None,
            target: format!("{service}{path}"),
            by: By::ApiServer { service },
        }
    }

    /// Whether the application is healthy there.
    ///
    /// # Errors
    /// With the reason why it is not.
    pub(super) async fn query(
        &self,
        cluster: &Cluster,
        commit: Option<&str>,
    ) -> Result<Health, Problem> {
        match &self.by {
            By::Client(http) => query(http, &self.target, commit).await,
            By::ApiServer { service } => {
                let (mut target, mut followed) = (self.target.clone(), 0);
                loop {
                    let request = http::Request::get(&target).body(Body::empty());
                    let request = request.map_err(|e| Problem::Unreachable(e.to_string()))?;
                    let response = cluster.proxied(request).await;
                    let response = response.map_err(|e| Problem::Unreachable(format!("{e:#}")))?;
                    let Some(next) = redirect(service, &target, &response, followed)? else {
                        return health(&response, commit);
                    };
                    (target, followed) = (next, followed + 1);
                }
            }
        }
    }
}

// The health by the last response.
fn health(response: &Proxied, commit: Option<&str>) -> Result<Health, Problem> {
    if let Some(problem) = of_api_server(response.status, &response.body) {
        return Err(problem);
    }
    judge(response.status, &response.body, commit).map_err(Problem::Unhealthy)
}

// Where a response that is a redirect leads, as a path in the API, which is below that of `service`: the API server puts it
// there (apimachinery/pkg/util/proxy/transport.go, `rewriteURL`). `None` for another response.
fn redirect(
    service: &str,
    from: &str,
    response: &Proxied,
    followed: usize,
) -> Result<Option<String>, Problem> {
    let is_redirect = matches!(response.status, 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.location.as_ref().filter(|_| is_redirect) else {
        return Ok(None);
    };
    let refused = |to: &str, reason| {
        // `app:80` of `…/services/app:80/proxy`
        let from = service.rsplit('/').nth(1).unwrap_or_default();
        Err(not_followed(&Error::Redirect {
            from: from.to_owned(),
            to: to.to_owned(),
            reason,
        }))
    };
    let api = Url::parse(API).and_then(|api| api.join(from));
    let Ok(to) = api.and_then(|from| from.join(location)) else {
        return refused(location, "it is not a URL");
    };
    let below = to.path().strip_prefix(service);
    if below.is_none_or(|path| !path.starts_with('/')) {
        let host = to.host_str().filter(|host| !API.ends_with(host));
        return match host {
            Some(host) => refused(host, "it is another host"),
            None => refused(to.path(), "it leaves the Service"),
        };
    }
    if followed == REDIRECTS {
        return refused(to.path(), "there were five redirects before");
    }
    let query = to
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    Ok(Some(format!("{}{query}", to.path())))
}

// The response of the API server itself, and not of the application.
fn of_api_server(status: u16, body: &str) -> Option<Problem> {
    let response: serde_json::Value = serde_json::from_str(body).ok()?;
    if (response["kind"].as_str(), response["status"].as_str()) != (Some("Status"), Some("Failure"))
    {
        return None;
    }
    let message = response["message"].as_str().unwrap_or_default();
    match status {
        403 if message.contains(RESOURCE) => Some(Problem::Forbidden(format!(
            "{message}; give the identity the right to `get` the resource `{RESOURCE}`"
        ))),
        // An application may respond in the same form.
        403 => None,
        _ => Some(Problem::Unreachable(message.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_queried_by_the_path_of_its_port() {
        let service = json!({"kind": "Service", "metadata": {"name": "app"}});
        let service = Object::of_test(service, Some("web"));
        for (scheme, expected) in [("http", "app:80"), ("https", "https:app:80")] {
            let port = HttpPort { scheme, port: 80 };
            let endpoint = Endpoint::in_cluster(&service, port, "/health?full=1");
            assert_eq!(
                endpoint.to_string(),
                format!(
                    "/api/v1/namespaces/web/services/{expected}/proxy/health?full=1 of the API server"
                )
            );
        }
    }

    #[test]
    fn a_redirect_is_followed_below_the_path_of_its_service() {
        let service = "/api/v1/namespaces/proxy/services/app:80/proxy";
        let from = format!("{service}/health?full=1");
        let to = |status: u16, location: &str, followed: usize| {
            let response = Proxied {
                status,
                location: Some(location.to_owned()),
                body: String::new(),
            };
            redirect(service, &from, &response, followed)
        };
        let path = |path: &str| Ok(Some(format!("{service}{path}")));
        assert_eq!(
            to(302, &format!("{service}/login?a=b"), 4),
            path("/login?a=b")
        );
        let absolute = format!("https://10.0.0.1:6443{service}/login");
        assert_eq!(to(308, &absolute, 0), path("/login"));
        assert_eq!(to(301, "live/", 0), path("/live/"));
        assert_eq!(to(200, "live/", 0), Ok(None));
        for (location, followed, expected) in [
            (
                "https://shop.example/login",
                0,
                "`app:80` redirects to `shop.example`, which is not followed: it is another host",
            ),
            (
                "../../other:80/proxy/",
                0,
                "`app:80` redirects to `/api/v1/namespaces/proxy/services/other:80/proxy/`, which is not followed: it leaves the Service",
            ),
            (
                "live",
                5,
                "`app:80` redirects to `/api/v1/namespaces/proxy/services/app:80/proxy/live`, which is not followed: there were five redirects before",
            ),
        ] {
            let problem = to(302, location, followed).unwrap_err();
            let hint = "; use a `health-path` that responds itself, or set `health-url`";
            assert_eq!(problem.message(), format!("{expected}{hint}"));
        }
    }

    #[test]
    fn what_the_api_server_says_is_not_the_applications_response() {
        let status = json!({"kind": "Status", "status": "Failure", "message": "no endpoints available for service \"app\""});
        let problem = of_api_server(503, &status.to_string());
        let expected = Problem::Unreachable("no endpoints available for service \"app\"".into());
        assert_eq!(problem, Some(expected));
        assert_eq!(of_api_server(503, r#"{"status": "Failure"}"#), None);
        assert_eq!(of_api_server(503, "busy"), None);
        let forbidden = |message: &str| {
            json!({"kind": "Status", "status": "Failure", "message": message}).to_string()
        };
        let own = r#"services "http:app:80" is forbidden: User "u" cannot get resource "services/proxy" in API group "" in the namespace "web""#;
        let expected = Problem::Forbidden(format!(
            "{own}; give the identity the right to `get` the resource `services/proxy`"
        ));
        assert_eq!(of_api_server(403, &forbidden(own)), Some(expected));
        // Of an application that is an API server too.
        let other = r#"pods is forbidden: User "u" cannot list resource "pods""#;
        assert_eq!(of_api_server(403, &forbidden(other)), None);
    }
}
