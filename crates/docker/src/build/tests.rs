use super::*;
use bollard::moby::buildkit::v1::{StatusResponse, Vertex};

#[test]
fn a_build_check_has_its_line_and_page() {
    let mut warning = bollard::moby::buildkit::v1::VertexWarning {
        short: b"FromAsCasing: casing does not match (line 3)".into(),
        url: "https://docs.docker.com/go/dockerfile/rule/from-as-casing/".into(),
        ..Default::default()
    };
    warning.ranges.resize_with(1, Default::default);
    warning.ranges[0].start.get_or_insert_default().line = 3;
    let mut events = Vec::new();
    Trace::default().read(
        StatusResponse {
            warnings: vec![warning],
            ..Default::default()
        },
        &mut |event| events.push(event),
    );
    assert_eq!(
        events,
        [BuildEvent::Warning(BuildWarning {
            message: "FromAsCasing: casing does not match (line 3)".into(),
            url: "https://docs.docker.com/go/dockerfile/rule/from-as-casing/".into(),
            line: Some(3),
        })]
    );
}

#[test]
fn a_canceled_step_is_not_the_cause() {
    let step = |name: &str, error: &str| Vertex {
        digest: name.into(),
        name: name.into(),
        error: error.into(),
        ..Default::default()
    };
    for order in [
        ["exit code: 9", "context canceled"],
        ["context canceled", "exit code: 9"],
    ] {
        let mut trace = Trace::default();
        let vertexes = vec![step("a", order[0]), step("b", order[1])];
        trace.read(
            StatusResponse {
                vertexes,
                ..Default::default()
            },
            &mut |_| {},
        );
        let failure = trace.failure("").unwrap().to_string();
        assert!(failure.ends_with("exit code: 9"), "{failure}");
    }
}

#[test]
fn a_cache_that_cannot_be_read_is_not_why_a_build_fails() {
    let step = |name: &str, error: &str| Vertex {
        digest: name.into(),
        name: name.into(),
        error: error.into(),
        ..Default::default()
    };
    let mut trace = Trace::default();
    let mut events = Vec::new();
    let cache = step(
        "importing cache manifest from r.example/app:cache",
        "unexpected status: 401 Unauthorized",
    );
    for vertexes in [
        vec![cache.clone()],
        vec![cache, step("[1/2] RUN", "exit code: 2")],
    ] {
        let status = StatusResponse {
            vertexes,
            ..Default::default()
        };
        trace.read(status, &mut |event| events.push(event));
    }
    assert_eq!(
        events,
        [BuildEvent::CacheUnavailable {
            cache: "r.example/app:cache".into(),
            reason: "unexpected status: 401 Unauthorized".into(),
        }]
    );
    let failure = trace.failure("").unwrap().to_string();
    assert_eq!(failure, "the build failed at `[1/2] RUN`: exit code: 2");
}

#[tokio::test]
async fn a_build_whose_response_is_cut_off_is_repeated() {
    let docker = testkit::FakeDocker::with("flask-app:one").builds(&["{\"stream\": \"Step", ""]);
    let context = tempfile::tempdir().unwrap();
    std::fs::write(context.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    let image: ImageRef = "flask-app:one".parse().unwrap();
    let request = BuildRequest::new(context.path(), "Dockerfile", image);
    let client = Docker::connect(Some(&docker.host())).await.unwrap();
    client.build(&request, |_| ()).await.unwrap();
    let requests = docker.requests();
    let builds = requests
        .iter()
        .filter(|line| line.starts_with("POST /build?"));
    assert_eq!(builds.count(), 2, "{requests:?}");
}
