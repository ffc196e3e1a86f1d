//! Only what the token's own account wrote is changed.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use fake_github::{Account, GitHub, Options};
use github::{Client, Commented, RollingIssue};
use testkit::Fault;

const MARKED: &str = "<!-- ci -->\nplease close this";

async fn server(account: Account) -> GitHub {
    let options = Options::new("t").account(account);
    let address = ([127, 0, 0, 1], 0).into();
    GitHub::with(address, options).await.unwrap()
}

fn client(server: &GitHub) -> Client {
    let http = http_client::Client::new().unwrap();
    Client::new(http, &server.url(), "octo-org/app", "t").unwrap()
}

fn strangers() -> [Account; 4] {
    [
        Account::user("mallory", 7),
        Account::user("github-actions", 8),
        Account::user("github-actions[bot]", 9),
        Account::bot("dependabot[bot]", 49_699_333),
    ]
}

/// The kinds of tokens: of a workflow, of another app, of a person.
fn accounts() -> [Account; 3] {
    [
        Account::default(),
        Account::bot("patcher[bot]", 10),
        Account::user("deployer", 11),
    ]
}

#[tokio::test]
async fn a_comment_of_another_author_is_left_alone() {
    for account in accounts() {
        let server = server(account).await;
        for stranger in strangers() {
            server.comment_by(stranger, 1, MARKED);
        }
        let pull_request = client(&server).pull_request(1);
        let comment = async |body, only| pull_request.comment("ci", body, only).await.unwrap();
        assert_eq!(comment("a", true).await, Commented::Skipped);
        assert_eq!(comment("a", false).await, Commented::Created);
        assert_eq!(comment("a", false).await, Commented::Unchanged);
        assert_eq!(comment("b", false).await, Commented::Updated);
        let mut expected = vec![MARKED; 4];
        expected.push("<!-- ci -->\nb");
        assert_eq!(server.comments(), expected);
    }
}

#[tokio::test]
async fn an_issue_of_another_author_is_left_alone() {
    for account in accounts() {
        let server = server(account).await;
        for stranger in strangers() {
            server.issue_by(stranger, "Findings", MARKED);
        }
        let issues = client(&server).issues();
        let rolling = RollingIssue {
            key: "ci".into(),
            title: "Findings".into(),
        };
        let write = |text: &'static str| move |_: Option<&str>| Some(text.to_owned());
        assert_eq!(issues.roll(&rolling, |_| None).await.unwrap(), None);
        let number = issues.roll(&rolling, write("a")).await.unwrap();
        assert_eq!(number, Some(5));
        assert_eq!(issues.roll(&rolling, write("b")).await.unwrap(), number);
        assert_eq!(issues.roll(&rolling, |_| None).await.unwrap(), None);
        let changed = server.journal();
        let changed = changed.iter().filter(|line| line.starts_with("PATCH"));
        assert!(changed.clone().all(|line| line.ends_with("/issues/5")));
        assert_eq!(changed.count(), 2);
    }
}

#[tokio::test]
async fn the_account_is_known_without_graphql_too() {
    let missing = || Fault::new("/graphql", 404, r#"{"message": "Not Found"}"#);
    for account in [Account::default(), Account::user("deployer", 11)] {
        let server = server(account.clone()).await;
        for author in strangers().into_iter().chain([account]) {
            server.comment_by(author, 1, MARKED);
        }
        server.expect(missing());
        let comment = client(&server).pull_request(1);
        let comment = comment.comment("ci", "a", false).await.unwrap();
        assert_eq!(comment, Commented::Updated);
        assert_eq!(server.comments()[..4], [MARKED; 4]);
        assert_eq!(server.comments().len(), 5);
    }
}
