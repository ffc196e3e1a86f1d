//! The registries of a run.
//!
//! - [`RegistryLines`], [`LoginInputs`]: the inputs with the logins, as every action has them;
//! - [`Registries`]: which login is for which registry;
//! - [`SelectionInputs`], [`Selection`]: the images that a registry lists.

mod kind;
mod lines;
mod logins;
mod pair;
mod pattern;
mod refusal;
mod selection;

pub use kind::not_an_image;
pub use lines::RegistryLines;
pub use logins::{Application, Login, Registries};
pub use pair::LoginInputs;
pub use pattern::Pattern;
pub use refusal::{explain, hint};
pub use selection::{Count, Listed, Selection, SelectionInputs};
