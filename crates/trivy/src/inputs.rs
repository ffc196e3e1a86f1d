//! The inputs of a step for the vulnerability database and for a severity, as every action has them.

use std::time::Duration;

use actions_toolkit::{Age, BadInput, Context, Scope, Value, inputs};

use crate::{DatabaseKind, DatabaseRequest, Severity, default_cache};

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
        })
    }
}

impl JavaDatabaseInputs {
    /// The Java database to use, in the same cache as `vulnerabilities`.
    pub fn request(self, vulnerabilities: &DatabaseRequest) -> DatabaseRequest {
        DatabaseRequest {
            kind: DatabaseKind::Java,
            mirrors: self.java_db_repositories,
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
