#[test]
fn plain_http_is_for_this_machine_alone() {
    assert_eq!(super::base("127.0.0.1:5000"), "http://127.0.0.1:5000");
    assert_eq!(super::base("localhost:5000"), "http://localhost:5000");
    assert_eq!(super::base("10.0.0.1:5000"), "https://10.0.0.1:5000");
    assert_eq!(
        super::base("seaworthy.azurecr.io"),
        "https://seaworthy.azurecr.io"
    );
}
