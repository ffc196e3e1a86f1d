//! Deployments under constant load: callers must not notice any of them, good or bad.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_client::{Certificates, Client};

use crate::stack::{Stack, run};

/// Between two requests of one caller.
const PERIOD: Duration = Duration::from_millis(10);
const CALLERS: usize = 2;

/// The old pod keeps responding until every node knows that it is leaving, as in `k8s/deployment.yaml`.
const LEAVE: &str = "        lifecycle: {preStop: {sleep: {seconds: 5}}}\n";

/// Where callers look for the host of a URL.
#[derive(Clone, Copy, Default)]
pub(crate) struct Callers(Option<&'static str>);

impl Callers {
    /// At `address`, and not in DNS.
    pub(crate) fn at(address: &'static str) -> Self {
        Self(Some(address))
    }

    async fn call(self, url: &str) -> String {
        let http = Client::reaching(self.0, Certificates::Verified).unwrap();
        match http.get(url).timeout(Duration::from_secs(30)).send().await {
            Ok(response) => response.status().to_string(),
            Err(error) => format!("{error:?}"),
        }
    }
}

/// Callers of an address, each request on its own connection.
struct Load {
    ended: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<BTreeMap<String, usize>>>,
}

impl Load {
    fn on(url: &str, callers: Callers) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let caller = |_| {
            let (url, ended) = (format!("{url}/health"), Arc::clone(&ended));
            tokio::spawn(async move {
                let mut seen = BTreeMap::new();
                let mut pace = tokio::time::interval(PERIOD);
                while !ended.load(Ordering::Relaxed) {
                    pace.tick().await;
                    *seen.entry(callers.call(&url).await).or_default() += 1;
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "real: needs the local stack"]
async fn callers_notice_no_deployment_healthy_or_rolled_back() {
    let stack = Stack::new("load").await;
    let manifests = |more: &str| stack.manifests(80, "", more);
    deploy_under_load(&stack, Callers::default(), manifests).await;
}

/// Deploy good and bad versions in turn; none of the requests of the `callers` fails. `manifests` has the application, with more
/// fields of its container. `DEPLOYMENTS` sets how many there are.
pub(crate) async fn deploy_under_load(
    stack: &Stack,
    callers: Callers,
    manifests: impl Fn(&str) -> String,
) {
    let count = std::env::var("DEPLOYMENTS").map_or(4, |text| text.parse().unwrap());
    let images = [
        stack.build("one", "well").await,
        stack.build("two", "well").await,
        stack.build("three", "crash").await,
        stack.build("four", "slow").await,
    ];
    let [one, two, crash, slow] = &images;
    let patient = |more: &str| {
        let manifests = manifests(more);
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

    let load = Load::on(first.output("url"), callers);
    for number in 0..count {
        let (image, manifests, good) = cycle[number % cycle.len()];
        let mut step = stack.step(image, manifests);
        if image == slow {
            // Nothing else ends it. What is well may take as long as a busy machine needs.
            step = step.input("rollout-timeout", "20s");
        }
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
