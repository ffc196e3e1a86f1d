//! What the tests of the actions share.
//!
//! - [`FakeRunner`]: the environment of a container action around a built binary;
//! - [`FakeDocker`]: a Docker daemon that has one image, and containers that can be removed;
//! - [`contract`]: `action.yml`, README and `docs/network.md` against an action's own declarations;
//! - [`endpoints`]: what a step may connect to;
//! - [`Recorder`]: a server that responds as a test says, and shows what it got;
//! - [`server`], [`Faults`], [`pki`]: what the fakes of GitHub and Azure (`fake-github`, `fake-azure`) are built of;
//! - [`Endless`]: a server whose responses do not end;
//! - [`Namespace`]: a network namespace that records what a step contacts;
//! - [`wire`]: a proxy before a real server, with a fault at a request;
//! - [`PrivateRegistry`]: a real registry with a password, and its log;
//! - [`sarif_objections`]: Microsoft's validator of SARIF files.

pub mod contract;
pub mod endpoints;
mod fake_docker;
mod faults;
mod namespace;
pub mod pki;
mod private_registry;
mod recorder;
mod runner;
mod sarif_multitool;
pub mod server;
pub mod wire;

pub use fake_docker::FakeDocker;
pub use faults::{Fault, Faults};
pub use namespace::{Contacted, Namespace};
pub use private_registry::PrivateRegistry;
pub use recorder::{Endless, Recorder, Seen, endless, zeros};
pub use runner::{FakeRunner, Ran};
pub use sarif_multitool::sarif_objections;

/// Standard base64, as access files and certificates use it.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
