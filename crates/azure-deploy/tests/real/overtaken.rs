//! Two deployments at the same time.

use crate::stack::{Stack, get, run};

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn the_later_deployment_stays_regardless_of_the_first() {
    let (stack, front) = Stack::fronted("overtaken", |_| {}).await;
    let images = [
        stack.build("one", "well").await,
        stack.build("two", "slow").await,
        stack.build("three", "well").await,
        stack.build("four", "sick").await,
    ];
    let [one, slow, later, sick] = &images;
    let manifests = stack.manifests(80, "", "");
    let ran = run(stack.step(one, &manifests)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);

    // The first waits for its pods, or for a healthy response, when the later one comes.
    for first in [slow, sick] {
        let waits = if first == slow {
            "/replicasets?"
        } else {
            "/services/app?"
        };
        let requests = || {
            front
                .journal()
                .iter()
                .filter(|line| line.contains(waits))
                .count()
        };
        let before = requests();
        let overtaken = tokio::spawn(run(stack.step(first, &manifests)));
        // The first request for the Service reads the previous state.
        let enough = before + if first == slow { 1 } else { 3 };
        while requests() < enough {
            tokio::task::yield_now().await;
        }
        let ran = run(stack.step(later, &manifests)).await;
        assert_eq!(
            (ran.code, ran.output("result")),
            (0, "deployed"),
            "{}",
            ran.log
        );
        let image = ran.output("image");
        let url = ran.output("url");

        let first = overtaken.await.unwrap();
        assert_eq!(
            (
                first.code,
                first.output("result"),
                first.output("rolled-back")
            ),
            (2, "error", "false"),
            "{}",
            first.log
        );
        let error = first.error();
        let start = format!(
            "azure-deploy: container `app` of Deployment/app was changed to `{image}` by `seaworthy` at "
        );
        let end = "; another deployment has taken over, so this one stops without rolling back";
        assert!(error.starts_with(&start) && error.ends_with(end), "{error}");
        assert!(
            first.summary.contains("Not deployed") && first.summary.contains("has taken over"),
            "{}",
            first.summary
        );
        assert_eq!(get(url).await["commit"], "three");
        let spec = stack.spec("deployment/app");
        assert_eq!(
            spec.pointer("/template/spec/containers/0/image").unwrap(),
            image
        );
        assert_eq!(stack.latest().await, ran.output("digest"));
    }
    stack.forget(&images.each_ref().map(String::as_str)).await;
}
