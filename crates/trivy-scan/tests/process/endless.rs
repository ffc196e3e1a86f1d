//! Servers whose responses do not end.

use axum::response::Response;
use testkit::Endless;

use crate::github::pull_request;
use crate::step::step;

#[tokio::test(flavor = "multi_thread")]
async fn a_github_that_sends_for_ever_is_cut_off() {
    for endless in ["/analyses", "/comments"] {
        let server = Endless::start(move |seen| {
            (!seen.line.contains(endless)).then(|| Response::new("[]".into()))
        });
        let server = server.await.unwrap();
        let address = format!("http://{}", server.host());
        let step = pull_request(step())
            .input("token", "t")
            .env("GITHUB_API_URL", &address);
        server.is_cut_off(step);
    }
}
