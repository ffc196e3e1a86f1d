//! The logins of the input `registries`, and whether the image is pushed.

use actions_toolkit::{BadInput, Context, Scope, Secret, Value, both};
use azure::input::EntraInputs;
use azure::{Cloud, LoginServer, RESOURCE_MANAGER};
use oci::{Credentials, ImageRef, is_docker_hub};

use crate::action::Inputs;

/// The registry that takes the run's own token.
const GHCR: &str = "ghcr.io";

/// The lines of `registries`; each secret is masked.
#[derive(Debug, Clone, Default)]
pub(crate) struct RegistryLines(Vec<Line>);

/// `host`, or `host user secret`. The input as a whole is not a secret: hosts are in messages.
#[derive(Debug, Clone)]
struct Line {
    number: usize,
    host: String,
    username: Option<String>,
    secret: Option<Secret>,
}

/// The registries that the run signs in to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registries {
    pub(crate) logins: Vec<(String, Login)>,
    /// Registries whose line has no secret in this run.
    pub(crate) without_secret: Vec<String>,
}

/// How to sign in to a registry.
#[derive(Clone)]
pub(crate) enum Login {
    Password(Credentials),
    /// The run's OIDC identity, at a registry of Azure.
    Entra {
        server: LoginServer,
        client: String,
        tenant: String,
        cloud: Cloud,
    },
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password",
            Self::Entra { .. } => "Entra",
        })
    }
}

/// Whether the image is pushed when every check has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Push {
    No,
    Yes,
    /// Requested, but not in this run, for this reason.
    Skipped(String),
}

impl Value for RegistryLines {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let mut lines: Vec<Line> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let mut words = line.split_whitespace();
            let Some(host) = words.next() else {
                continue;
            };
            let words: Vec<_> = words.collect();
            // Where the user's name is missing, what is in its place may be the secret: masked before any message.
            let (username, secret) = match words[..] {
                [] => (None, None),
                [only] => {
                    Secret::parse(only, scope)?;
                    (Some(only.to_owned()), None)
                }
                [username, secret] => {
                    let secret = Secret::parse(secret, scope)?;
                    (Some(username.to_owned()), Some(secret))
                }
                _ => {
                    for word in words {
                        Secret::parse(word, scope)?;
                    }
                    return Err(format!(
                        "line {number} is not of the form `host` or `host user secret`"
                    ));
                }
            };
            let host = registry_host(host).ok_or_else(|| {
                format!(
                    "line {number} does not begin with the host of a registry, such as `ghcr.io`"
                )
            })?;
            if lines.iter().any(|other| other.host == host) {
                return Err(format!("`{host}` has two lines"));
            }
            lines.push(Line {
                number,
                host,
                username,
                secret,
            });
        }
        Ok(Self(lines))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

// Also as docker/login-action's users write it: `https://index.docker.io/v1/`.
fn registry_host(text: &str) -> Option<String> {
    let (text, is_url) = match text.strip_prefix("https://") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let host = match text.split_once('/') {
        Some((host, rest)) => {
            let is_root = is_url && matches!(rest, "" | "v1/" | "v2/");
            is_root.then_some(host)?
        }
        None => text,
    };
    let host = if is_docker_hub(host) {
        "docker.io"
    } else {
        host
    };
    let example: ImageRef = format!("{host}/x").parse().ok()?;
    (example.registry() == Some(host)).then(|| host.to_ascii_lowercase())
}

impl Registries {
    /// How to sign in to the registry of each line.
    ///
    /// # Errors
    /// [`BadInput`] for a line without a secret, where the run could have one.
    pub(super) fn new(ctx: &Context, inputs: &Inputs) -> Result<Self, BadInput> {
        let entra = &inputs.entra;
        let application = both(
            (EntraInputs::client_id, entra.client_id.clone()),
            (EntraInputs::tenant_id, entra.tenant_id.clone()),
        )?;
        let cloud = entra.cloud(RESOURCE_MANAGER);
        let mut registries = Self::default();
        for line in &inputs.registries.0 {
            let host = line.host.clone();
            let login = match (&line.username, &line.secret, &application) {
                (Some(username), Some(secret), _) => Some(Login::Password(Credentials {
                    username: username.clone(),
                    password: secret.expose().to_owned(),
                })),
                (None, None, _) if host == GHCR => {
                    inputs.github.token.as_ref().map(|token| {
                        // GitHub takes any name with a token.
                        let actor = ctx.env().get("GITHUB_ACTOR").unwrap_or("token");
                        Login::Password(Credentials {
                            username: actor.to_owned(),
                            password: token.0.expose().to_owned(),
                        })
                    })
                }
                (None, None, Some((client, tenant))) => {
                    let server = LoginServer::new(&host, &cloud, Inputs::registries)?;
                    Some(Login::Entra {
                        server,
                        client: client.0.clone(),
                        tenant: tenant.0.clone(),
                        cloud: cloud.clone(),
                    })
                }
                _ => None,
            };
            match login {
                Some(login) => registries.logins.push((host, login)),
                None if has_no_secrets(ctx) => registries.without_secret.push(host),
                None => return Err(no_secret(line)),
            }
        }
        Ok(registries)
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
    BadInput::new(Inputs::registries, problem)
}

/// Whether GitHub gives the run no secrets: for a fork, or Dependabot
/// (docs.github.com/actions/reference/security/secure-use).
fn has_no_secrets(ctx: &Context) -> bool {
    let is_dependabot = ctx.env().get("GITHUB_ACTOR") == Some("dependabot[bot]");
    ctx.github().is_pull_request_of_fork() || is_dependabot
}

impl Push {
    /// Whether the run pushes images with `names`.
    pub(super) fn new(
        ctx: &Context,
        inputs: &Inputs,
        registries: &Registries,
        names: &[ImageRef],
    ) -> Self {
        if !inputs.push {
            return Self::No;
        }
        if ctx.github().is_pull_request_of_fork() {
            let reason = "the pull request is from a fork, whose runs have no credentials";
            return Self::Skipped(reason.to_owned());
        }
        if names.is_empty() {
            return Self::Skipped("no tag applies to this run".to_owned());
        }
        let mut hosts = names.iter().map(|name| name.in_registry().0);
        let without = hosts.find(|host| registries.without_secret.iter().any(|one| one == host));
        match without {
            Some(host) => Self::Skipped(format!("this run has no secret for `{host}`")),
            None => Self::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    fn lines(text: &str) -> Result<Vec<String>, String> {
        let lines = RegistryLines::parse(text, &Scope::new(&Log::sink(), &Workspace::new("/w")))?;
        let shown = lines.0.iter().map(|line| {
            let secret = line.secret.as_ref().map(Secret::expose);
            format!("{} {:?} {secret:?}", line.host, line.username)
        });
        Ok(shown.collect())
    }

    #[test]
    fn a_line_is_a_host_and_a_login() {
        let text = "ghcr.io\n\n  https://index.docker.io/v1/  me  s3cr3t==\nlocalhost:5000 u p\nA.azurecr.io\n";
        assert_eq!(
            lines(text).unwrap(),
            [
                "ghcr.io None None",
                r#"docker.io Some("me") Some("s3cr3t==")"#,
                r#"localhost:5000 Some("u") Some("p")"#,
                "a.azurecr.io None None",
            ]
        );
    }

    #[test]
    fn an_error_does_not_contain_a_secret() {
        let table = [
            (
                "ghcr.io me s3cr3t more",
                "line 1 is not of the form `host` or `host user secret`",
            ),
            (
                "s3cr3t",
                "line 1 does not begin with the host of a registry, such as `ghcr.io`",
            ),
            (
                "\nme ghcr.io s3cr3t",
                "line 2 does not begin with the host of a registry, such as `ghcr.io`",
            ),
            (
                "ghcr.io/octo-org a s3cr3t",
                "line 1 does not begin with the host of a registry, such as `ghcr.io`",
            ),
            (
                "docker.io a s3cr3t\nindex.docker.io b s3cr3t",
                "`docker.io` has two lines",
            ),
        ];
        for (text, problem) in table {
            assert_eq!(lines(text).unwrap_err(), problem);
        }
    }
}
