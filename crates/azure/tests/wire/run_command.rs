//! Commands that Azure runs in the cluster.

use azure::{Ran, Scope};
use fake_azure::Azure;
use testkit::Fault;

use crate::{config, entra, manager, run};

const CLUSTER: &str = r#"{"clusters": [{"cluster": {"server": "https://10.0.0.1:6443"}}]}"#;

#[tokio::test]
async fn a_command_runs_next_to_its_files_and_returns_its_code_and_output() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config();
    config.kubeconfig = Some(directory.path().join("config"));
    std::fs::write(directory.path().join("config"), CLUSTER).unwrap();
    let azure = Azure::start(config).await.unwrap();
    let (ctx, _) = run(&azure);
    let manager = manager(&ctx, &azure);
    let token = entra(&ctx, &azure).token(Scope::Cluster).await.unwrap();
    let files = [("question".to_owned(), b"who is there\n".to_vec())];
    let ran = manager.run_command(
        "seaworthy",
        "seaworthy",
        "cat question; cat absent; exit 3",
        &files,
        Some(&token),
    );
    let ran = ran.await.unwrap();
    let logs = "who is there\ncat: absent: No such file or directory\n".to_owned();
    assert_eq!(ran, Ran { exit_code: 3, logs });
}

#[tokio::test]
async fn a_command_that_cannot_start_is_reported_with_its_reason() {
    let azure = Azure::start(config()).await.unwrap();
    let (ctx, _) = run(&azure);
    let manager = manager(&ctx, &azure);
    let token = entra(&ctx, &azure).token(Scope::Cluster).await.unwrap();
    let ask = async || {
        let ran = manager.run_command("seaworthy", "seaworthy", "true", &[], Some(&token));
        format!("{:#}", ran.await.unwrap_err())
    };
    assert_eq!(
        ask().await,
        "failed to run a command in the cluster (Failed): the cluster is not running"
    );

    let elsewhere = Fault::new("/runCommand", 202, "");
    azure.expect(elsewhere.header("location", "https://example.com/result"));
    let error = ask().await;
    assert!(
        error.contains("is on another host, which is not contacted"),
        "{error}"
    );

    azure.expect(Fault::new("/runCommand", 202, ""));
    let error = ask().await;
    assert!(
        error.contains("without the location of its result"),
        "{error}"
    );
}
