//! Servers whose responses do not end.

use testkit::{Endless, FakeDocker};

use crate::step;

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_sends_for_ever_is_cut_off() {
    let registry = Endless::start(|_| None).await.unwrap();
    let docker = FakeDocker::with("other:1");
    let of_one = [("image", format!("{}/app:1", registry.host()))];
    let of_all = [("image", String::new()), ("registry", registry.host())];
    for inputs in [&of_one[..], &of_all] {
        let step = inputs
            .iter()
            .fold(step(), |step, (name, value)| step.input(name, value))
            .input("push", "true")
            .input("token", "")
            .env("DOCKER_HOST", &docker.host());
        registry.is_cut_off(step);
    }
}
