//! The deployment and its status in the environment on GitHub.

use actions_toolkit::{Context, PolicyFailure};
use github::{Client, DeploymentState, DeploymentStatus, Deployments};

use crate::report::Report;
use crate::request::Request;

/// A deployment on GitHub. A failure to report it is a warning: the state of the cluster is decisive.
pub(crate) struct GithubDeployment<'a> {
    ctx: &'a Context,
    open: Option<(Deployments, u64)>,
}

impl<'a> GithubDeployment<'a> {
    /// Create the deployment, in progress, if the request names an environment.
    pub(crate) async fn start(ctx: &'a Context, request: &Request) -> Self {
        let open = match Self::open(ctx, request).await {
            Ok(open) => open,
            Err(e) => {
                ctx.log()
                    .warning(format!("failed to create the deployment on GitHub: {e:#}"));
                None
            }
        };
        let this = Self { ctx, open };
        this.set(DeploymentState::InProgress, String::new(), None)
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

    /// Report that the new version is healthy, or the failure: of the version, or of a service.
    pub(crate) async fn finish(self, deployed: &anyhow::Result<Report>) {
        let (state, description, url) = match deployed {
            Ok(report) => {
                let url = report.address.as_ref().map(|address| address.url.clone());
                let description = format!("deployed {}", report.image);
                (DeploymentState::Success, description, url)
            }
            Err(error) => {
                let state = if error.is::<PolicyFailure>() {
                    DeploymentState::Failure
                } else {
                    DeploymentState::Error
                };
                (state, format!("{error:#}"), None)
            }
        };
        self.set(state, description, url).await;
    }

    async fn set(&self, state: DeploymentState, description: String, url: Option<String>) {
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
                "failed to report the state of the deployment on GitHub: {e:#}"
            ));
        }
    }
}
