//! What the step connects to is what `docs/network.md` says: in a network namespace, where nothing else is reachable.
//! Docker is outside: the step reaches it through its socket.

use ci::{ACTION, NETWORK};
use fake_github::GitHub;
use testkit::endpoints::{Values, of_the_step};
use testkit::{FakeRunner, Namespace};

const IMAGE: &str = "seaworthy-ci-network:1";
/// A Trivy whose report has a package.
const TRIVY: &str = r#"case "$*" in
version*) echo '{"Version":"0.72.0"}' ;;
*) echo '{"SchemaVersion": 2, "Results": [{"Target": "requirements.txt", "Class": "lang-pkgs", "Type": "pip", "Packages": [{"Name": "flask", "Version": "3.0.0"}]}]}' ;;
esac
"#;

#[test]
#[ignore = "real: needs Docker, and root, for a network namespace"]
fn with_a_lock_file_it_contacts_the_mirrors_and_github() {
    let inputs = [
        ("image", IMAGE),
        ("test-target", "none"),
        ("health-path", "none"),
        ("static-analysis", "none"),
        ("lock-file", "requirements.txt"),
        ("token", "t"),
    ];
    let declared = of_the_step(NETWORK, &Values::new(&ACTION, &inputs));
    let name = "network::with_a_lock_file_it_contacts_the_mirrors_and_github";
    let Some(namespace) = Namespace::enter(name, &declared) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _github = runtime.block_on(async {
        let github = GitHub::start("t").await.unwrap();
        let port = github.url().rsplit(':').next().unwrap().parse().unwrap();
        namespace.serve("api.github.com", port).await;
        github
    });
    let step = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .tool("trivy", TRIVY)
        .file(
            "Dockerfile",
            "FROM scratch\nCOPY requirements.txt /\nUSER 1\n",
        )
        .file("requirements.txt", "flask==3.0.0\n")
        .env("SSL_CERT_FILE", &namespace.ca_file().to_string_lossy());
    let event = step.directory().join("event.json");
    std::fs::write(&event, r#"{"pull_request": {"number": 7}}"#).unwrap();
    let step = inputs
        .iter()
        .fold(step, |step, (name, value)| step.input(name, value));
    let ran = step.run();
    let contacted = namespace.contacted();
    assert_eq!(ran.code, 2, "no mirror responds: {}", ran.log);
    assert_eq!(contacted.undeclared(&declared), Vec::<String>::new());
    assert_eq!(
        contacted.hosts(),
        [
            "api.github.com:443",
            "ghcr.io:443",
            "mirror.gcr.io:443",
            "public.ecr.aws:443"
        ],
        "{}",
        ran.log
    );
}
