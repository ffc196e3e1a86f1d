//! Where the health of the application is queried: at a URL, or by the API server from inside the cluster.

use std::fmt;

use http_client::{Certificates, Client};
use kube::client::Body;

use super::address::HttpPort;
use super::response::{Health, Problem, judge, query};
use super::site::Site;
use crate::kubernetes::{Cluster, DEFAULT_NAMESPACE, Object};

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
    ApiServer,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        match (&self.by, &self.at) {
            (By::ApiServer, _) => write!(f, "{target} of the API server"),
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
        let namespace = service.namespace().unwrap_or(DEFAULT_NAMESPACE);
        let scheme = if port.scheme == "https" { "https:" } else { "" };
        let (name, port) = (service.name(), port.port);
        let service = format!("{scheme}{name}:{port}");
        Self {
            by: By::ApiServer,
            at: None,
            target: format!("/api/v1/namespaces/{namespace}/services/{service}/proxy{path}"),
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
            By::ApiServer => {
                let request = http::Request::get(&self.target).body(Body::empty());
                let request = request.map_err(|e| Problem::Unreachable(e.to_string()))?;
                let response = cluster.proxied(request).await;
                let (status, body) =
                    response.map_err(|e| Problem::Unreachable(format!("{e:#}")))?;
                if let Some(problem) = of_api_server(status, &body) {
                    return Err(problem);
                }
                judge(status, &body, commit).map_err(Problem::Unhealthy)
            }
        }
    }
}

// What the API server itself says, and not the application.
fn of_api_server(status: u16, body: &str) -> Option<Problem> {
    let response: serde_json::Value = serde_json::from_str(body).ok()?;
    if (response["kind"].as_str(), response["status"].as_str()) != (Some("Status"), Some("Failure"))
    {
        return None;
    }
    let message = response["message"].as_str().unwrap_or_default();
    Some(match status {
        403 => Problem::Unreachable(format!(
            "{message}; give the identity the right to `get` the resource `services/proxy`, or set `health-path: none`"
        )),
        _ => Problem::Unreachable(message.to_owned()),
    })
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
    fn what_the_api_server_says_is_not_the_applications_response() {
        let status = json!({"kind": "Status", "status": "Failure", "message": "no endpoints available for service \"app\""});
        let problem = of_api_server(503, &status.to_string());
        let expected = Problem::Unreachable("no endpoints available for service \"app\"".into());
        assert_eq!(problem, Some(expected));
        assert_eq!(of_api_server(503, r#"{"status": "Failure"}"#), None);
        assert_eq!(of_api_server(503, "busy"), None);
    }
}
