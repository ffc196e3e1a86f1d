#[test]
fn plain_http_is_only_for_this_machine() {
    assert_eq!(super::base_url("127.0.0.1:5000"), "http://127.0.0.1:5000");
    assert_eq!(super::base_url("localhost:5000"), "http://localhost:5000");
    assert_eq!(super::base_url("[::1]:5000"), "http://[::1]:5000");
    assert_eq!(super::base_url("10.0.0.1:5000"), "https://10.0.0.1:5000");
    assert_eq!(
        super::base_url("seaworthy.azurecr.io"),
        "https://seaworthy.azurecr.io"
    );
    for hub in ["docker.io", "index.docker.io"] {
        assert_eq!(super::base_url(hub), "https://registry-1.docker.io");
    }
}

#[test]
fn an_official_image_of_docker_hub_is_below_library() {
    let request = |host: &str, repository: &str| {
        let http = http_client::Client::direct().unwrap();
        let registry = super::Registry::new(http, host, crate::Auth::Anonymous, |_| ());
        let request = registry.pull(super::Method::GET, repository, "tags/list");
        (request.path, request.scope)
    };
    let expected = |name: &str| {
        let path = format!("{name}/tags/list");
        (path, format!("repository:{name}:pull"))
    };
    assert_eq!(request("docker.io", "debian"), expected("library/debian"));
    assert_eq!(request("docker.io", "team/app"), expected("team/app"));
    assert_eq!(request("ghcr.io", "debian"), expected("debian"));
}

#[test]
fn delays_between_attempts() {
    use backon::BackoffBuilder as _;
    let delays = |attempts| -> Vec<_> { super::retry_policy(attempts).build().collect() };
    assert_eq!(delays(1), []);
    assert_eq!(
        delays(4),
        [500, 1000, 2000].map(std::time::Duration::from_millis)
    );
}
