//! Logins to registries in the steps of a job, and as lines of `registries`.

use crate::shell::{Arguments, Command};
use crate::workflow::{Step, input};

/// A login that a step makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// The index of the step.
    pub(crate) step: usize,
    pub(crate) host: String,
    /// User and secret; a registry of Azure takes the run's identity instead.
    pub(crate) user: Option<(String, String)>,
}

impl Login {
    /// Whether the secret is the run's own token, at GitHub's registry.
    pub(crate) fn is_own_token(&self) -> bool {
        let is_token =
            |secret: &str| secret.contains("GITHUB_TOKEN") || secret.contains("github.token");
        self.host == "ghcr.io"
            && self
                .user
                .as_ref()
                .is_some_and(|(_, secret)| is_token(secret))
    }

    /// Whether another job, with these variables, can use it as it is.
    pub(crate) fn is_shared(&self, variables: &[(String, String)]) -> bool {
        let user = self.user.iter().flat_map(|(user, secret)| [user, secret]);
        user.chain([&self.host])
            .all(|value| crate::value::is_shared(value, variables))
    }

    /// The line of `registries` of `ci`.
    pub(crate) fn line(&self) -> String {
        match &self.user {
            Some(_) if self.is_own_token() => self.host.clone(),
            Some((user, secret)) => format!("{} {user} {secret}", self.host),
            None => self.host.clone(),
        }
    }

    /// The line with user and secret in any case.
    pub(crate) fn whole_line(&self) -> Option<String> {
        let (user, secret) = self.user.as_ref()?;
        Some(format!("{} {user} {secret}", self.host))
    }

    /// Whether the login is for this image.
    pub(crate) fn is_for(&self, image: &str) -> bool {
        let host = image.split_once('/').map(|(host, _)| host);
        match host {
            Some(host) if host.contains(['.', ':', '$']) => host == self.host,
            _ => self.host == "docker.io",
        }
    }
}

/// The registry of an input `registry` or `login-server`.
fn host(text: Option<&str>) -> String {
    let text = text.unwrap_or("docker.io");
    let text = text.strip_prefix("https://").unwrap_or(text);
    let text = if text.contains("${{") {
        text
    } else {
        text.split('/').next().unwrap_or(text)
    };
    match text {
        "index.docker.io"
        | "registry-1.docker.io"
        | "hub.docker.com"
        | "registry.hub.docker.com" => "docker.io".to_owned(),
        _ => text.trim_end_matches('/').to_owned(),
    }
}

/// The login of docker/login-action or Azure/docker-login.
pub(crate) fn of_action(index: usize, step: &Step) -> Option<Login> {
    let user = input(&step.with, "username").zip(input(&step.with, "password"));
    Some(Login {
        step: index,
        host: host(
            step.input("registry")
                .or_else(|| step.input("login-server")),
        ),
        user: Some(user.map(|(user, secret)| (user.to_owned(), secret.to_owned()))?),
    })
}

/// The login of `docker login`, of `helm registry login`, or of `az acr login`.
pub(crate) fn of_command(index: usize, command: &Command) -> Option<Login> {
    let words: Vec<_> = command.iter().map(String::as_str).collect();
    if let ["az", "acr", "login", ..] = words[..] {
        let arguments = Arguments::parse(
            &command[3..],
            &["expose-token"],
            &[("-n", "name"), ("-g", "resource-group")],
        );
        let name = arguments.option("name")?.to_owned();
        let host = if name.contains('.') {
            name
        } else {
            format!("{name}.azurecr.io")
        };
        return Some(Login {
            step: index,
            host,
            user: None,
        });
    }
    let pipe = words.iter().position(|word| *word == "|");
    let (piped, login) = match pipe {
        Some(at) if matches!(words[0], "echo" | "printf") => (
            words[1..at].iter().rfind(|word| !word.starts_with('-')),
            &command[at + 1..],
        ),
        Some(_) => return None,
        None => (None, &command[..]),
    };
    let rest = match login.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["docker", "login", ..] => &login[2..],
        ["helm", "registry", "login", ..] => &login[3..],
        _ => return None,
    };
    let arguments = Arguments::parse(
        rest,
        &["password-stdin", "insecure", "plain-http"],
        &[("-u", "username"), ("-p", "password")],
    );
    let secret = piped.copied().or_else(|| arguments.option("password"))?;
    Some(Login {
        step: index,
        host: host(arguments.operands.first().map(String::as_str)),
        user: Some((arguments.option("username")?.to_owned(), secret.to_owned())),
    })
}
