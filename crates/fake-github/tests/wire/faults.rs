//! Faults on demand.

use std::time::Duration;

use fake_github::{GitHub, Refusal};
use reqwest::Method;
use testkit::Fault;

use super::{TOKEN, call, client, get};

#[tokio::test]
async fn each_refusal_is_given_once() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let table = [
        (Refusal::BadCredentials, 401, None),
        (
            Refusal::NoPermission,
            403,
            Some("x-accepted-github-permissions"),
        ),
        (Refusal::CodeScanningOff, 403, None),
        (Refusal::NoAdvancedSecurity, 403, None),
        (
            Refusal::RateLimit { reset: 60 },
            403,
            Some("x-ratelimit-reset"),
        ),
        (
            Refusal::SecondaryRateLimit { retry_after: 3 },
            403,
            Some("retry-after"),
        ),
        (Refusal::NotFound, 404, None),
        (Refusal::TooLarge, 413, None),
        (Refusal::Invalid, 422, None),
        (
            Refusal::TooManyRequests { retry_after: 3 },
            429,
            Some("retry-after"),
        ),
        (Refusal::BadGateway, 502, None),
        (Refusal::Unavailable, 503, None),
    ];
    for (refusal, status, header) in table {
        server.expect(refusal.fault("GET /repos/octo-org/app/issues"));
        let response = call(&server, Method::GET, "/issues", None).await;
        assert_eq!(response.status(), status, "{refusal:?}");
        assert!(
            header.is_none_or(|name| response.headers().contains_key(name)),
            "{refusal:?}: {:?}",
            response.headers()
        );
        get(&server, "/issues").await;
    }
    assert_eq!(server.journal().len(), 24);
}

#[tokio::test]
async fn a_connection_is_closed_without_an_answer() {
    let server = GitHub::start(TOKEN).await.unwrap();
    server.expect(Fault::hang_up("/issues"));
    let address = format!("{}/repos/octo-org/app/issues", server.url());
    let error = client().get(&address).bearer_auth(TOKEN).send().await;
    assert!(error.unwrap_err().is_request());
    get(&server, "/issues").await;
}

#[tokio::test]
async fn an_answer_comes_late() {
    let server = GitHub::start(TOKEN).await.unwrap();
    server.expect(Fault::slow("/issues", Duration::from_secs(60)));
    let address = format!("{}/repos/octo-org/app/issues", server.url());
    let impatient = client().get(&address).bearer_auth(TOKEN);
    let error = impatient.timeout(Duration::from_millis(50)).send().await;
    assert!(error.unwrap_err().is_timeout());
}
