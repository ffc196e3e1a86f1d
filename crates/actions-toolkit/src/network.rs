//! The declaration of what an action connects to: the one source of `docs/network.md`.

/// Base of GitHub's REST API, where the runner names no other.
pub const GITHUB_API: &str = "https://api.github.com";
/// Where GitHub's OIDC service is: a host of the runner's choice in this domain
/// (docs.github.com/actions/concepts/runners/communicating-with-self-hosted-runners).
pub const GITHUB_OIDC: &str = "*.actions.githubusercontent.com";

/// One connection that an action makes, or has made.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// Where to.
    pub host: Host,
    /// Who connects.
    pub by: By,
    /// The inputs that it depends on, all of them.
    pub when: &'static [When],
    /// What for: a noun phrase.
    pub purpose: &'static str,
    /// What is sent there that is secret, or is the user's; `nothing` otherwise.
    pub sends: &'static str,
}

/// The other end of a connection. Its port is 443, except where a variant has another.
#[derive(Debug, Clone, Copy)]
pub enum Host {
    /// A name, or `*.` and the end of names.
    Name(&'static str),
    /// The same at port 80.
    Http(&'static str),
    /// Host and port of a URL.
    Url(&'static str),
    /// One name in each cloud of Azure, with the name of the cloud; the first one is the default.
    Clouds(&'static [(&'static str, &'static str)]),
    /// The registries of these images, or artifacts.
    Images(&'static [&'static str]),
    /// Host and port of the URL in an input.
    UrlInput(&'static str),
    /// The registries of the images in an input, or the registry that it names.
    ImageInput(&'static str),
    /// What is known only when the step runs.
    Found(&'static str),
}

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The step: the action's process, or a tool that it starts.
    Step,
    /// The Docker daemon.
    Docker,
    /// BuildKit, or a command that it runs, in a container.
    BuildKit,
}

/// A condition on an input.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// It has a value.
    Set(&'static str),
    /// It has none.
    Empty(&'static str),
    /// It has this value.
    Is(&'static str, &'static str),
    /// It has another value.
    Not(&'static str, &'static str),
    /// What no input says, such as the distribution of an image.
    Case(&'static str),
}

/// Connections that a crate declares, and what they depend on in an action.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The inputs of the action that all of them depend on.
    pub when: &'static [When],
    /// The connections.
    pub connections: &'static [Connection],
}

/// All that an action connects to.
pub type Network = &'static [Part];
