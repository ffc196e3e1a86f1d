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
