//! The files of a pull request, from the fake of GitHub.

use fake_github::GitHub;
use github::{ChangedFile, Client};

#[tokio::test]
async fn the_lines_that_a_pull_request_adds_are_listed() {
    let server = GitHub::start("t").await.unwrap();
    let number = server.pull_request("A change", "topic", &"a".repeat(40), "main");
    server.change(number, "app/a.py", "@@ -1 +1,2 @@\n one\n+two");
    server.change(number, "gone.py", "@@ -1 +0,0 @@\n-one");
    // More than a page of them.
    for i in 0..120 {
        server.change(number, &format!("f{i}.py"), "@@ -0,0 +1 @@\n+x");
    }
    let http = http_client::Client::new().unwrap();
    let client = Client::new(http, &server.url(), "octo-org/app", "t").unwrap();
    let files = client.pull_request(number).changed_files().await.unwrap();
    assert_eq!(files.len(), 121);
    let first = ChangedFile {
        path: "app/a.py".into(),
        added: vec![(2, "two".into())],
    };
    assert_eq!(files[0], first);
    let missing = client.pull_request(99).changed_files().await.unwrap_err();
    assert_eq!(
        missing.to_string(),
        "failed to list the files of pull request 99"
    );
}
