//! Builds with the same result, each of which is removed at once.

use docker::{BuildRequest, Docker};
use futures_util::future::join_all;
use oci::ImageRef;

const DOCKERFILE: &str = "FROM scratch\nCOPY Dockerfile /\nLABEL of=builds\n";
/// Builds at the same time, and how many each makes one after the other.
const BUILDS: (usize, usize) = (6, 30);

#[tokio::test]
#[ignore = "real: needs Docker"]
async fn whoever_removes_the_same_image_does_not_stop_a_build() {
    let context = tempfile::tempdir().unwrap();
    std::fs::write(context.path().join("Dockerfile"), DOCKERFILE).unwrap();
    let host = std::env::var("DOCKER_HOST").ok();
    let docker = Docker::connect(host.as_deref()).await.unwrap();
    let builds = (0..BUILDS.0).map(async |nr| {
        let image: ImageRef = format!("seaworthy-same-{nr}:1").parse().unwrap();
        let request = BuildRequest::new(context.path(), "Dockerfile", image.clone());
        for _ in 0..BUILDS.1 {
            docker.build(&request, |_| ()).await.unwrap();
            docker.untag(&image).await.unwrap();
        }
    });
    join_all(builds).await;
}
