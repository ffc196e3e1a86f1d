//! The registries of a run.
//!
//! - [`RegistryLines`], [`LoginInputs`]: the inputs with the logins, as every action has them;
//! - [`Registries`]: which login is for which registry.

mod lines;
mod logins;
mod pair;
mod refusal;

pub use lines::RegistryLines;
pub use logins::{Application, Login, Registries};
pub use pair::LoginInputs;
pub use refusal::{explain, hint};
