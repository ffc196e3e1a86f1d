//! What the tests of the actions share.
//!
//! - [`FakeRunner`]: the environment of a container action around a built binary;
//! - [`FakeDocker`]: a Docker daemon that has one image, and containers that can be removed;
//! - [`contract`]: `action.yml` and README against an action's own declaration;
//! - [`Recorder`]: a server that responds as a test says, and shows what it got;
//! - [`server`], [`Faults`], [`pki`]: what the fakes of GitHub and Azure (`fake-github`, `fake-azure`) are built of;
//! - [`sarif_objections`]: Microsoft's validator of SARIF files.

pub mod contract;
mod fake_docker;
mod faults;
pub mod pki;
mod recorder;
mod runner;
mod sarif_multitool;
pub mod server;

pub use fake_docker::FakeDocker;
pub use faults::{Fault, Faults};
pub use recorder::{Recorder, Seen, endless, zeros};
pub use runner::{FakeRunner, Ran};
pub use sarif_multitool::sarif_objections;

/// Standard base64, as access files and certificates use it.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
