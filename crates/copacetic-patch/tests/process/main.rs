//! The built binary as the runner starts it.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod dry_run;
#[cfg(test)]
mod endless;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod issue;
#[cfg(test)]
mod mirror;
#[cfg(test)]
mod network;
#[cfg(test)]
mod own_tags;
#[cfg(test)]
mod platforms;
#[cfg(test)]
mod push;
mod python;
#[cfg(test)]
mod real;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod whole_registry;

#[cfg(test)]
fn step() -> testkit::FakeRunner {
    let step = testkit::FakeRunner::new(env!("CARGO_BIN_EXE_copacetic-patch"));
    let step = step.input("image", "app:1");
    // The tests may use another Docker than the machine's.
    match std::env::var("DOCKER_HOST") {
        Ok(host) => step.env("DOCKER_HOST", &host),
        Err(_) => step,
    }
}
