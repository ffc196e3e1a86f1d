//! The built binary as the runner starts it.

#![allow(clippy::unwrap_used)] // in a test, a panic is the report

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod real;

#[cfg(test)]
fn step() -> testkit::FakeRunner {
    testkit::FakeRunner::new(env!("CARGO_BIN_EXE_copacetic-patch")).input("image", "app:1")
}
