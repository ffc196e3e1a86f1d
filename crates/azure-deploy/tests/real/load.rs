//! Deployments under constant load: callers must not notice any of them, good or bad.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::stack::{Stack, run};

/// Between two requests of one caller.
const PERIOD: Duration = Duration::from_millis(10);
const CALLERS: usize = 2;

/// The old pod keeps responding until every node knows that it is leaving, as in `k8s/deployment.yaml`.
const LEAVE: &str = "        lifecycle: {preStop: {sleep: {seconds: 5}}}\n";

/// Callers of an address, each request on its own connection.
struct Load {
    ended: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<BTreeMap<String, usize>>>,
}

impl Load {
    fn on(url: &str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let caller = |_| {
            let (url, ended) = (format!("{url}/health"), Arc::clone(&ended));
            tokio::spawn(async move {
                let mut seen = BTreeMap::new();
                let mut pace = tokio::time::interval(PERIOD);
                while !ended.load(Ordering::Relaxed) {
                    pace.tick().await;
                    *seen.entry(once(&url).await).or_default() += 1;
                }
                seen
            })
        };
        Self {
            callers: (0..CALLERS).map(caller).collect(),
            ended,
        }
    }

    /// What became of the requests, and of how many.
    async fn end(self) -> BTreeMap<String, usize> {
        self.ended.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        for caller in self.callers {
            for (what, count) in caller.await.unwrap() {
                *all.entry(what).or_default() += count;
            }
        }
        all
    }
}

async fn once(url: &str) -> String {
    let http = http_client::Client::direct().unwrap();
    match http.get(url).timeout(Duration::from_secs(30)).send().await {
        Ok(response) => response.status().to_string(),
        Err(error) => format!("{error:?}"),
    }
}

// `DEPLOYMENTS` sets how many there are.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "real: needs the local stack"]
async fn callers_notice_no_deployment_healthy_or_rolled_back() {
    let count = std::env::var("DEPLOYMENTS").map_or(4, |text| text.parse().unwrap());
    let stack = Stack::new("load").await;
    let images = [
        stack.build("one", "well").await,
        stack.build("two", "well").await,
        stack.build("three", "crash").await,
        stack.build("four", "slow").await,
    ];
    let [one, two, crash, slow] = &images;
    let patient = |more: &str| {
        let manifests = stack.manifests(80, "", more);
        let grace = "terminationGracePeriodSeconds";
        manifests.replace(&format!("{grace}: 2"), &format!("{grace}: 10"))
    };
    let well = patient(LEAVE);
    let absent = format!("{LEAVE}        envFrom: [{{configMapRef: {{name: absent}}}}]\n");
    let unset = patient(&absent);
    let cycle = [
        (two, &well, true),
        (crash, &well, false),
        (one, &well, true),
        (two, &unset, false),
        (two, &well, true),
        (slow, &well, false),
    ];
    let first = run(stack.step(one, &well)).await;
    assert_eq!(first.code, 0, "{}", first.log);

    let load = Load::on(first.output("url"));
    for number in 0..count {
        let (image, manifests, good) = cycle[number % cycle.len()];
        let step = stack.step(image, manifests).input("rollout-timeout", "20s");
        let ran = run(step).await;
        let expected = if good {
            (0, "deployed", "false")
        } else {
            (1, "failed", "true")
        };
        assert_eq!(
            (ran.code, ran.output("result"), ran.output("rolled-back")),
            expected,
            "deployment {number} of {image}:\n{}",
            ran.log
        );
    }
    let seen = load.end().await;
    println!("{count} deployments: {seen:?}");
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["200 OK"], "{seen:?}");
    stack.forget(&images.each_ref().map(String::as_str)).await;
}
