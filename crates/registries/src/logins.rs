//! Which login is for which registry.

use std::sync::Arc;
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Secret, both};
use anyhow::Context as _;
use azure::input::EntraInputs;
use azure::{Cloud, Credential, Entra, LoginServer, RESOURCE_MANAGER};
use futures_util::FutureExt as _;
use oci::{Auth, Credentials, Logins, Registry, Renewed, is_docker_hub};

use crate::RegistryLines;
use crate::lines::Line;

/// The registry that takes the run's own token.
const GHCR: &str = "ghcr.io";
/// The input with the lines.
const REGISTRIES: &str = "registries";
/// How long a login to a registry of Azure is used: it is valid for three hours, and one request may take one of them.
const LOGIN_LIFE: Duration = Duration::from_secs(60 * 60);

/// The registries that the run signs in to.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// Hosts, each with its login.
    pub logins: Vec<(String, Login)>,
    /// Registries whose line has no secret in this run.
    pub without_secret: Vec<String>,
}

/// How to sign in to a registry.
#[derive(Clone)]
pub enum Login {
    /// With a user name and password.
    Password(Credentials),
    /// With the run's OIDC identity, at a registry of Azure.
    Entra {
        /// The registry.
        server: LoginServer,
        /// The application that the run signs in as.
        application: Application,
    },
}

/// An application of Entra that the run signs in as.
#[derive(Clone)]
pub struct Application {
    client: String,
    tenant: String,
    cloud: Cloud,
}

impl Application {
    /// The application of `client-id` and `tenant-id`, if they are set.
    ///
    /// # Errors
    /// [`BadInput`] when only one of them is.
    pub fn new(entra: &EntraInputs) -> Result<Option<Self>, BadInput> {
        let ids = both(
            (EntraInputs::client_id, entra.client_id.clone()),
            (EntraInputs::tenant_id, entra.tenant_id.clone()),
        )?;
        Ok(ids.map(|(client, tenant)| Self {
            client: client.0,
            tenant: tenant.0,
            cloud: entra.cloud(RESOURCE_MANAGER),
        }))
    }

    /// Its login to the registry `host`, which `input` names.
    ///
    /// # Errors
    /// [`BadInput`] when that is not a registry of Azure.
    pub fn login(&self, host: &str, input: &str) -> Result<Login, BadInput> {
        Ok(Login::Entra {
            server: LoginServer::new(host, &self.cloud, input)?,
            application: self.clone(),
        })
    }

    fn entra(&self, ctx: &Context) -> anyhow::Result<Entra> {
        let Self {
            client,
            tenant,
            cloud,
        } = self;
        Entra::new(ctx, cloud, tenant, client, Credential::Federated)
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password",
            Self::Entra { .. } => "Entra",
        })
    }
}

impl Registries {
    /// How to sign in to the registry of each line: `host` alone is with `token` for `ghcr.io`, and as `application`
    /// elsewhere.
    ///
    /// # Errors
    /// [`BadInput`] for a line without a secret, where the run could have one.
    pub fn new(
        ctx: &Context,
        lines: &RegistryLines,
        application: Option<&Application>,
        token: Option<&Secret>,
    ) -> Result<Self, BadInput> {
        let mut registries = Self::default();
        for line in &lines.0 {
            let host = line.host.clone();
            let login = match (&line.login, application) {
                (Some((username, secret)), _) => Some(Login::Password(Credentials {
                    username: username.clone(),
                    password: secret.expose().to_owned(),
                })),
                (None, _) if host == GHCR => {
                    token.map(|token| {
                        // GitHub takes any name with a token.
                        let actor = ctx.env().get("GITHUB_ACTOR").unwrap_or("token");
                        Login::Password(Credentials {
                            username: actor.to_owned(),
                            password: token.expose().to_owned(),
                        })
                    })
                }
                (None, Some(application)) => Some(application.login(&host, REGISTRIES)?),
                (None, None) => None,
            };
            match login {
                Some(login) => registries.logins.push((host, login)),
                None if has_no_secrets(ctx) => registries.without_secret.push(host),
                None => return Err(no_secret(line)),
            }
        }
        Ok(registries)
    }

    /// The login to the registry `host`. All names of Docker Hub mean the same registry.
    pub fn get(&self, host: &str) -> Option<&Login> {
        let is_own = |own: &str| {
            own == host.to_ascii_lowercase() || is_docker_hub(own) && is_docker_hub(host)
        };
        let own = self.logins.iter().find(|(own, _)| is_own(own));
        own.map(|(_, login)| login)
    }

    /// Hosts with their passwords.
    pub fn passwords(&self) -> impl Iterator<Item = (&str, &Credentials)> {
        self.logins.iter().filter_map(|(host, login)| match login {
            Login::Password(credentials) => Some((host.as_str(), credentials)),
            Login::Entra { .. } => None,
        })
    }

    /// Log the registries to which this run can't sign in.
    pub fn report(&self, ctx: &Context) {
        for host in &self.without_secret {
            let note = format!(
                "`{REGISTRIES}`: this run has no secret for `{host}`, so it is anonymous there"
            );
            ctx.log().info(note);
        }
    }

    /// Sign in to all of them: the passwords as they are, and tokens of the run's identity for Azure.
    ///
    /// # Errors
    /// When the identity gets no token for a registry.
    pub async fn sign_in(&self, ctx: &Context) -> anyhow::Result<Logins> {
        self.report(ctx);
        let mut logins: Vec<(String, Credentials)> = Vec::new();
        for (host, login) in &self.logins {
            let credentials = login.credentials(ctx).await;
            let credentials =
                credentials.with_context(|| format!("failed to sign in to `{host}`"))?;
            // Docker and BuildKit send the pair in one word.
            let basic = credentials.authorization();
            ctx.log().mask(basic.trim_start_matches("Basic "));
            logins.push((host.clone(), credentials));
        }
        Ok(logins.into_iter().collect())
    }
}

impl Login {
    /// A user name and password for now.
    ///
    /// # Errors
    /// When the run's identity gets no token.
    pub async fn credentials(&self, ctx: &Context) -> anyhow::Result<Credentials> {
        match self {
            Self::Password(credentials) => Ok(credentials.clone()),
            Self::Entra {
                server,
                application,
            } => server.credentials(&application.entra(ctx)?).await,
        }
    }

    /// A client of the registry `host`, which signs in with `login`, and again when that expires.
    ///
    /// # Errors
    /// When the run's identity gets no token.
    pub async fn client(
        login: Option<&Self>,
        ctx: &Context,
        host: &str,
    ) -> anyhow::Result<Arc<Registry>> {
        let auth = match login {
            None => Auth::Anonymous,
            Some(Self::Password(credentials)) => Auth::Password(credentials.clone()),
            Some(Self::Entra {
                server,
                application,
            }) => {
                let (server, entra) = (server.clone(), application.entra(ctx)?);
                let login = Renewed::new(LOGIN_LIFE, move || {
                    let (server, entra) = (server.clone(), entra.clone());
                    async move { server.credentials(&entra).await }.boxed()
                });
                // An identity without rights in the registry is an error before anything else.
                login.get().await?;
                Auth::Renewed(login)
            }
        };
        let (http, mask) = (ctx.http()?.clone(), ctx.log().masker());
        Ok(Arc::new(Registry::new(http, host, auth, mask)))
    }
}

fn no_secret(line: &Line) -> BadInput {
    let (number, host) = (line.number, &line.host);
    let alone = if host == GHCR {
        " (without them, `token` is used)"
    } else if host.contains(".azurecr.") {
        " (without them, `client-id` and `tenant-id` sign in)"
    } else {
        ""
    };
    let problem = format!(
        "line {number} has no secret for `{host}`; write `{host} USER SECRET`{alone}, and check that the secret is set"
    );
    BadInput::new(REGISTRIES, problem)
}

/// Whether GitHub gives the run no secrets: for a fork, or Dependabot
/// (docs.github.com/actions/reference/security/secure-use).
fn has_no_secrets(ctx: &Context) -> bool {
    let is_dependabot = ctx.env().get("GITHUB_ACTOR") == Some("dependabot[bot]");
    ctx.github().is_pull_request_of_fork() || is_dependabot
}
