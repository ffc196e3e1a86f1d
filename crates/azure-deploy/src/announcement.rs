//! What GitHub's environment is told of the deployment.

use actions_toolkit::{Context, PolicyFailure};
use github::{Client, DeploymentState, DeploymentStatus, Deployments};

use crate::report::Story;
use crate::request::Request;

/// A deployment that GitHub knows of. What goes wrong in telling it is a warning: the cluster's state is what
/// counts.
pub(crate) struct Announcement<'a> {
    ctx: &'a Context,
    open: Option<(Deployments, u64)>,
}

impl<'a> Announcement<'a> {
    /// Tell GitHub that a deployment begins, if the request names an environment.
    pub(crate) async fn begin(ctx: &'a Context, request: &Request) -> Self {
        let open = match Self::open(ctx, request).await {
            Ok(open) => open,
            Err(e) => {
                ctx.log()
                    .warning(format!("GitHub was not told of the deployment: {e:#}"));
                None
            }
        };
        let this = Self { ctx, open };
        this.tell(DeploymentState::InProgress, String::new(), None)
            .await;
        this
    }

    async fn open(ctx: &Context, request: &Request) -> anyhow::Result<Option<(Deployments, u64)>> {
        let Some((environment, token)) = &request.environment else {
            return Ok(None);
        };
        let github = ctx.github();
        let (Some(client), Some(sha)) = (Client::from_context(ctx, token)?, github.sha()) else {
            anyhow::bail!("GITHUB_REPOSITORY and GITHUB_SHA are not both set");
        };
        let deployments = client.deployments();
        let id = deployments.create(sha, environment).await?;
        Ok(Some((deployments, id)))
    }

    /// Tell GitHub that the new version serves.
    pub(crate) async fn succeeded(self, story: &Story) {
        let url = story.address.as_ref().map(|address| address.url.clone());
        let description = format!("serves {}", story.image);
        self.tell(DeploymentState::Success, description, url).await;
    }

    /// Tell GitHub that it does not: refused, or never judged.
    pub(crate) async fn failed(self, error: &anyhow::Error) {
        let state = if error.downcast_ref::<PolicyFailure>().is_some() {
            DeploymentState::Failure
        } else {
            DeploymentState::Error
        };
        self.tell(state, format!("{error:#}"), None).await;
    }

    async fn tell(&self, state: DeploymentState, description: String, url: Option<String>) {
        let Some((deployments, id)) = &self.open else {
            return;
        };
        let status = DeploymentStatus {
            log_url: self.ctx.github().run_url(),
            environment_url: url,
            description,
        };
        if let Err(e) = deployments.set(*id, state, &status).await {
            let log = self.ctx.log();
            log.warning(format!(
                "GitHub was not told how the deployment stands: {e:#}"
            ));
        }
    }
}
