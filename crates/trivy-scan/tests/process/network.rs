//! What the step connects to is what `docs/network.md` says: in a network namespace, where nothing else is reachable.

use fake_github::GitHub;
use testkit::endpoints::{Endpoint, Values, of_the_step};
use testkit::{Contacted, FakeRunner, Namespace, Ran, Recorder};
use trivy_scan::{ACTION, NETWORK};

use crate::step::{database, step};

fn declared(inputs: &[(&str, &str)]) -> Vec<Endpoint> {
    of_the_step(NETWORK, &Values::new(&ACTION, inputs))
}

fn with_inputs(step: FakeRunner, inputs: &[(&str, &str)]) -> FakeRunner {
    inputs
        .iter()
        .fold(step, |step, (name, value)| step.input(name, value))
}

/// Run `step` where `hosts` are GitHub, and registries without anything.
fn run(namespace: &Namespace, step: FakeRunner, hosts: &[&str]) -> (Ran, Contacted) {
    let step = step.env("SSL_CERT_FILE", &namespace.ca_file().to_string_lossy());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _servers = runtime.block_on(async {
        let github = GitHub::start("t").await.unwrap();
        let empty = Recorder::start(|_| {
            let builder = axum::response::Response::builder().status(404);
            builder.body(axum::body::Body::empty()).unwrap()
        });
        let empty = empty.await.unwrap();
        for host in hosts {
            let port = match *host {
                "api.github.com" => github.url().rsplit(':').next().unwrap().parse().unwrap(),
                _ => empty.port(),
            };
            namespace.serve(host, port).await;
        }
        (github, empty)
    });
    let ran = step.run();
    (ran, namespace.contacted())
}

const ALL: [&str; 4] = [
    "api.github.com",
    "mirror.gcr.io",
    "ghcr.io",
    "public.ecr.aws",
];

#[test]
#[ignore = "real: needs root, for a network namespace"]
fn with_default_inputs_it_contacts_the_mirrors_and_github() {
    let inputs = [("image", "app:1"), ("token", "t")];
    let declared = declared(&inputs);
    let Some(namespace) = Namespace::enter(
        "network::with_default_inputs_it_contacts_the_mirrors_and_github",
        &declared,
    ) else {
        return;
    };
    // A new database is due, which no mirror has.
    let step = with_inputs(database(step(), 30), &inputs);
    let (ran, contacted) = run(&namespace, step, &ALL);
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert!(!ran.output("sarif-id").is_empty(), "{}", ran.log);
    assert_eq!(contacted.undeclared(&declared), Vec::<String>::new());
    assert_eq!(
        contacted.hosts(),
        [
            "api.github.com:443",
            "ghcr.io:443",
            "mirror.gcr.io:443",
            "public.ecr.aws:443"
        ]
    );
}

#[test]
#[ignore = "real: needs root, for a network namespace"]
fn what_no_input_declares_is_found() {
    // Declared is what the default mirrors are; the step uses another one.
    let declared = declared(&[("token", "")]);
    let name = "network::what_no_input_declares_is_found";
    let Some(namespace) = Namespace::enter(name, &declared) else {
        return;
    };
    let step =
        database(step(), 30).input("db-repositories", "other.example/db:2\n192.0.2.7:8443/db:2");
    let (ran, contacted) = run(&namespace, step, &[]);
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(
        contacted.undeclared(&declared),
        ["name other.example", "connection to 192.0.2.7:8443"]
    );
}

#[test]
#[ignore = "real: needs root, for a network namespace"]
fn offline_and_without_a_token_it_contacts_nothing() {
    let inputs = [("token", ""), ("offline", "true")];
    let name = "network::offline_and_without_a_token_it_contacts_nothing";
    let Some(namespace) = Namespace::enter(name, &[]) else {
        return;
    };
    let step = with_inputs(database(step(), 30), &inputs);
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(namespace.contacted().undeclared(&[]), Vec::<String>::new());
}

#[test]
#[ignore = "real: needs root, for a network namespace, and Trivy"]
fn trivy_itself_contacts_the_registry_of_the_image_alone() {
    let table: [(_, &[&str]); 3] = [
        ("docker.io/library/debian:13", &["index.docker.io:443"]),
        ("quay.io/app/app:1", &["quay.io:443"]),
        (
            "seaworthy.azurecr.io/app:1",
            &["169.254.169.254:80", "seaworthy.azurecr.io:443"],
        ),
    ];
    let name = "network::trivy_itself_contacts_the_registry_of_the_image_alone";
    let images = table.map(|(image, _)| format!("image {image}")).join("\n");
    let inputs = [
        ("targets", images.as_str()),
        ("token", ""),
        ("offline", "true"),
    ];
    let declared = declared(&inputs);
    let Some(namespace) = Namespace::enter(name, &declared) else {
        return;
    };
    for (image, expected) in table {
        let before = namespace.contacted().hosts();
        let ran = FakeRunner::new(env!("CARGO_BIN_EXE_trivy-scan"))
            .env("PATH", &std::env::var("PATH").unwrap())
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .input("image", image)
            .input("scanners", "secret")
            .run();
        assert_eq!(ran.code, 2, "no registry responds: {}", ran.log);
        let mut new = namespace.contacted().hosts();
        new.retain(|host| !before.contains(host));
        assert_eq!(new, expected, "{image}: {}", ran.log);
    }
    let undeclared = namespace.contacted().undeclared(&declared);
    assert_eq!(undeclared, Vec::<String>::new());
}

#[test]
#[ignore = "real: needs root, for a network namespace, and Trivy"]
fn a_tree_with_terraform_does_not_choose_what_trivy_contacts() {
    let name = "network::a_tree_with_terraform_does_not_choose_what_trivy_contacts";
    let Some(namespace) = Namespace::enter(name, &[]) else {
        return;
    };
    let sources = [
        "git::https://git.example/a/b.git",
        "git::ssh://git@ssh.example/a/b.git",
        "https://web.example/module.zip",
        "s3::https://s3.amazonaws.com/bucket/module.zip",
        "registry.example/a/b/c",
        "a/b/c",
    ];
    let modules = sources.iter().enumerate();
    let modules = modules.map(|(n, source)| format!("module \"m{n}\" {{ source = \"{source}\" }}"));
    let ran = FakeRunner::new(env!("CARGO_BIN_EXE_trivy-scan"))
        .env("PATH", &std::env::var("PATH").unwrap())
        .file("infra/main.tf", &modules.collect::<Vec<_>>().join("\n"))
        .input("scan-type", "config")
        .input("path", "infra")
        .input("token", "")
        .run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(namespace.contacted().undeclared(&[]), Vec::<String>::new());
    for line in 1..=sources.len() {
        let warning = format!(
            "::warning::infra/main.tf:{line} calls a module that is not downloaded (run `terraform init` in an earlier step); it was not checked"
        );
        assert!(ran.log.contains(&warning), "{warning}: {}", ran.log);
    }
}
