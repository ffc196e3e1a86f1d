//! The inputs of a step for the vulnerability database and for a severity, as every action has them.

use std::time::Duration;

use actions_toolkit::{Age, BadInput, Context, Scope, Secret, Value, inputs};
use http_client::Url;

use crate::{DatabaseKind, DatabaseRequest, Server, Severity, default_cache};

inputs! {
    /// Where the vulnerability database comes from.
    #[derive(Debug, Clone)]
    pub struct DatabaseInputs {
        /// Mirrors of the vulnerability database, one OCI repository per line, tried in this order; the public ones by default.
        db_repositories: Vec<String>,
        /// Cache directory of Trivy, relative to the workspace; the one in the home directory by default.
        cache_directory: Option<String>,
        /// Use the cached vulnerability database without contacting a mirror.
        offline: bool = "false",
    }
}

inputs! {
    /// Where the Java database comes from.
    #[derive(Debug, Clone)]
    pub struct JavaDatabaseInputs {
        /// Mirrors of the Java database, which images with JAR files need, one OCI repository per line; the public ones by default.
        java_db_repositories: Vec<String>,
    }
}

inputs! {
    /// How old the vulnerability database may be.
    #[derive(Debug, Clone)]
    pub struct DatabaseAgeInputs {
        /// Maximum age of the vulnerability database when no mirror has a newer one.
        max_database_age: Age = "48h",
    }
}

inputs! {
    /// A server that has the vulnerability database.
    #[derive(Debug, Clone)]
    pub struct ServerInputs {
        /// URL of a Trivy server that has the vulnerability database and looks up the packages: `https://trivy.example.com`.
        trivy_server: Option<ServerUrl>,
        /// Token of that server.
        trivy_server_token: Option<Secret>,
    }
}

/// The URL of a Trivy server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(pub Url);

impl Value for ServerUrl {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let url: Url = text
            .parse()
            .map_err(|e| format!("invalid URL `{text}`: {e}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(format!(
                "invalid URL `{text}`; use a form such as `https://trivy.example.com`"
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let problem = "has a user or password, which a Trivy server does not take; use `trivy-server-token`";
            return Err(problem.to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{text}` has a query or a fragment; remove it"));
        }
        Ok(Self(url))
    }
}

impl ServerInputs {
    /// The database that `database` names, at most `max_age` old, or that of the server.
    ///
    /// # Errors
    /// [`BadInput`] for a server that can't be used with its token or with mirrors, or when the workspace is unavailable.
    pub fn database(
        self,
        database: DatabaseInputs,
        ctx: &Context,
        max_age: Duration,
    ) -> Result<DatabaseRequest, BadInput> {
        let server = self.server(&database)?;
        Ok(DatabaseRequest {
            server,
            ..database.request(ctx, max_age)?
        })
    }

    /// The server in place of the databases that `database` names.
    ///
    /// # Errors
    /// [`BadInput`] for a token that would be sent in the clear or to no server, and for mirrors that would not be used.
    fn server(self, database: &DatabaseInputs) -> Result<Option<Server>, BadInput> {
        let Some(ServerUrl(url)) = self.trivy_server else {
            return match self.trivy_server_token {
                Some(_) => Err(BadInput::new(
                    Self::trivy_server,
                    "is required with `trivy-server-token`",
                )),
                None => Ok(None),
            };
        };
        if self.trivy_server_token.is_some() && !http_client::is_confidential(&url) {
            return Err(BadInput::new(
                Self::trivy_server,
                "must be a URL with `https`: `trivy-server-token` would be sent in the clear",
            ));
        }
        if !database.db_repositories.is_empty() {
            return Err(BadInput::new(
                DatabaseInputs::db_repositories,
                "is not used with `trivy-server`, which has its own database; remove one of them",
            ));
        }
        Ok(Some(Server::new(url, self.trivy_server_token)))
    }
}

impl DatabaseInputs {
    /// The database to use, at most `max_age` old.
    ///
    /// # Errors
    /// [`BadInput`] when the workspace is unavailable.
    pub fn request(self, ctx: &Context, max_age: Duration) -> Result<DatabaseRequest, BadInput> {
        let cache = match self.cache_directory {
            Some(path) => ctx.workspace()?.root().join(path),
            None => default_cache(ctx.env()),
        };
        Ok(DatabaseRequest {
            kind: DatabaseKind::Vulnerabilities,
            mirrors: self.db_repositories,
            cache,
            offline: self.offline,
            max_age,
            server: None,
        })
    }
}

impl JavaDatabaseInputs {
    /// The Java database to use, in the same cache as `vulnerabilities`.
    pub fn request(self, vulnerabilities: &DatabaseRequest) -> DatabaseRequest {
        DatabaseRequest {
            kind: DatabaseKind::Java,
            mirrors: self.java_db_repositories,
            server: None,
            ..vulnerabilities.clone()
        }
    }
}

impl Value for Severity {
    const CHOICES: &'static [&'static str] = &["critical", "high", "medium", "low"];

    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        text.parse()
            .map_err(|_| actions_toolkit::invalid_choice(text, Self::CHOICES))
    }
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    fn server(url: &str, token: Option<&str>, mirrors: &[&str]) -> Result<Option<Server>, String> {
        let (log, workspace) = (Log::sink(), Workspace::new("."));
        let scope = Scope::new(&log, &workspace);
        let url = Some(url).filter(|url| !url.is_empty());
        let inputs = ServerInputs {
            trivy_server: url.map(|url| ServerUrl::parse(url, &scope)).transpose()?,
            trivy_server_token: token.map(|token| Secret::new(token, &log)),
        };
        let database = DatabaseInputs {
            db_repositories: mirrors.iter().map(ToString::to_string).collect(),
            cache_directory: None,
            offline: false,
        };
        inputs.server(&database).map_err(|e| e.0)
    }

    #[test]
    fn a_server_is_a_url_and_gets_its_token_in_private() {
        for (url, token) in [
            ("https://trivy.example.com/team", Some("t")),
            ("http://127.0.0.1:4954", Some("t")),
            ("http://trivy.trivy-system:4954", None),
        ] {
            let server = server(url, token, &[]).unwrap().unwrap();
            assert_eq!(server.to_string(), url);
            assert!(!format!("{server:?}").contains("\"t\""), "{server:?}");
        }
        assert_eq!(server("", None, &["r.io/db"]), Ok(None));
        let problem = |url, token, mirrors: &[&str]| server(url, token, mirrors).unwrap_err();
        insta::assert_snapshot!(problem("http://trivy:4954", Some("t"), &[]), @"input `trivy-server`: must be a URL with `https`: `trivy-server-token` would be sent in the clear");
        insta::assert_snapshot!(problem("", Some("t"), &[]), @"input `trivy-server`: is required with `trivy-server-token`");
        insta::assert_snapshot!(problem("https://t", None, &["r.io/db"]), @"input `db-repositories`: is not used with `trivy-server`, which has its own database; remove one of them");
        insta::assert_snapshot!(problem("trivy:4954", None, &[]), @"invalid URL `trivy:4954`; use a form such as `https://trivy.example.com`");
        insta::assert_snapshot!(problem("https://u:p@t", None, &[]), @"has a user or password, which a Trivy server does not take; use `trivy-server-token`");
        insta::assert_snapshot!(problem("https://t?x=1", None, &[]), @"`https://t?x=1` has a query or a fragment; remove it");
    }
}
