//! The runner's side of an action.
//!
//! This crate is the only one that knows `INPUT_`, `GITHUB_`, `RUNNER_` and `ACTIONS_`. An action
//! declares itself once as an [`Action`], and hands [`run`] an async function:
//!
//! ```no_run
//! use actions_toolkit::{Action, Context, Done, Input, Output};
//!
//! const GREET: Action = Action {
//!     name: "greet",
//!     about: "Say hello.",
//!     inputs: &[Input::new("who", "Whom to greet.").required()],
//!     outputs: &[Output::new("result", "`passed`, `failed` or `error`.")],
//! };
//!
//! async fn greet(ctx: &Context) -> anyhow::Result<Done> {
//!     let who = ctx.inputs().required("who")?;
//!     ctx.log().info(format!("hello {who}"));
//!     Ok(Done("passed"))
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     actions_toolkit::run(&GREET, greet)
//! }
//! ```
//!
//! The same binary runs outside GitHub: every input is also a command-line option of the same name.

mod action;
mod alive;
mod context;
mod env;
mod failure;
mod github_env;
mod http;
mod inputs;
mod log;
mod oidc;
mod report;
mod run;
mod secret;
pub mod text;

pub use action::{Action, Input, Output};
pub use alive::{alive, within};
pub use context::Context;
pub use env::Env;
pub use failure::{BadInput, Cancelled, Done, ExitStatus, PolicyFailure};
pub use github_env::GithubEnv;
pub use http::{client as http_client, install_tls_provider};
pub use inputs::Inputs;
pub use log::{Group, Held, Level, Location, Log, StopCommands};
pub use oidc::Oidc;
pub use report::Report;
pub use run::run;
pub use secret::Secret;

/// The version of the suite, as `--version` and user agents show it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
