//! GitHub's REST API: the part that the actions use.
//!
//! Source: the OpenAPI description of api.github.com, against which every request and every response is
//! checked (`schema`). A request that it does not describe is refused with 422, as GitHub does; a response of this
//! server that it does not describe is 500.

mod account;
mod alerts;
mod code_scanning;
mod comments;
mod deployments;
mod handle;
mod issues;
mod links;
mod middleware;
mod options;
mod page;
mod pulls;
mod records;
mod refusal;
mod repository;
mod response;
mod sarif;
mod schema;
mod state;
mod uploads;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Html;
use axum::routing::{get, patch, post};
use serde_json::Value;

use handle::handle;
use state::Repository;
use testkit::server::{Server, listen, start};
use testkit::{Fault, Faults};

pub use account::Account;
pub use options::{Access, Options};
pub use refusal::Refusal;

/// The server.
pub struct GitHub {
    server: Server,
    shared: Shared,
    faults: Faults,
    _witness: Witness,
}

/// Responses of this server that GitHub's schema does not describe. A test that got one must not pass, even
/// if the client ignores the 500.
#[derive(Clone, Default)]
struct Undescribed(Arc<Mutex<Vec<String>>>);

impl Undescribed {
    fn all(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Panics at the end of a test that got such a response.
struct Witness(Undescribed);

impl Drop for Witness {
    fn drop(&mut self) {
        let all = self.0.all();
        assert!(
            all.is_empty() || std::thread::panicking(),
            "fake-github responded with what GitHub's schema does not describe:\n{}",
            all.join("\n")
        );
    }
}

#[derive(Clone)]
struct Shared {
    options: Arc<Options>,
    base: String,
    repository: Arc<Mutex<Repository>>,
    undescribed: Undescribed,
}

impl Shared {
    fn repository(&self) -> MutexGuard<'_, Repository> {
        self.repository
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl GitHub {
    /// A server for a test, which accepts the token `token`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(token: &str) -> anyhow::Result<Self> {
        Self::with(([127, 0, 0, 1], 0).into(), Options::new(token)).await
    }

    /// A server at `address` that stores its state in `data`.
    ///
    /// # Errors
    /// When the port is in use.
    pub async fn at(address: SocketAddr, token: &str, data: Option<&Path>) -> anyhow::Result<Self> {
        let options = Options::new(token);
        let options = match data {
            Some(directory) => options.data(directory),
            None => options,
        };
        Self::with(address, options).await
    }

    /// A server at `address` (port 0: any), with `options`.
    ///
    /// # Errors
    /// When the port is in use, or the stored state can't be read.
    pub async fn with(address: SocketAddr, options: Options) -> anyhow::Result<Self> {
        let listener = listen(address).await?;
        let shared = Shared {
            base: format!("http://{}", listener.local_addr()?),
            repository: Arc::new(Mutex::new(Repository::open(&options)?)),
            options: Arc::new(options),
            undescribed: Undescribed::default(),
        };
        let faults = Faults::default();
        let server = start(listener, faults.inject(router(&shared)))?;
        Ok(Self {
            server,
            _witness: Witness(shared.undescribed.clone()),
            shared,
            faults,
        })
    }

    /// The base of the API.
    pub fn url(&self) -> String {
        self.shared.base.clone()
    }

    /// Inject `fault` into the first request that matches it.
    pub fn expect(&self, fault: Fault) {
        self.faults.expect(fault);
    }

    /// `METHOD /path?query` of every request so far.
    pub fn journal(&self) -> Vec<String> {
        self.faults.journal()
    }

    /// Every SARIF file that was uploaded: the request, with the file unpacked in `sarif`.
    pub fn uploads(&self) -> Vec<Value> {
        let uploads = &self.shared.repository().uploads;
        uploads
            .iter()
            .map(|upload| upload.request.clone())
            .collect()
    }

    /// How many polls of an upload return `pending` before it is done.
    pub fn pending(&self, times: u32) {
        self.shared.repository().pending = times;
    }

    /// The bodies of all comments.
    pub fn comments(&self) -> Vec<String> {
        let comments = &self.shared.repository().comments;
        comments
            .iter()
            .map(|comment| comment.body.clone())
            .collect()
    }

    /// The titles of all issues.
    pub fn issues(&self) -> Vec<String> {
        let issues = &self.shared.repository().issues;
        issues.iter().map(|issue| issue.title.clone()).collect()
    }

    /// Every deployment: its environment and the states that it went through.
    pub fn deployments(&self) -> Vec<(String, Vec<String>)> {
        let deployments = &self.shared.repository().deployments;
        let states = |deployment: &deployments::Deployment| {
            let statuses = deployment.statuses.iter();
            let states = statuses
                .map(|status| status.request.state.clone())
                .collect();
            (deployment.environment().to_owned(), states)
        };
        deployments.iter().map(states).collect()
    }

    /// Every snapshot of the dependency graph, as it was sent.
    pub fn snapshots(&self) -> Vec<Value> {
        self.shared.repository().snapshots.clone()
    }

    /// Open a pull request of the branch `head` at the commit `sha` onto `base`; its number.
    pub fn pull_request(&self, title: &str, head: &str, sha: &str, base: &str) -> u64 {
        let mut repository = self.shared.repository();
        let number = repository.next_number();
        let pull = pulls::Pull::new(number, title, (head, sha), base);
        repository.pulls.push(pull);
        repository.save();
        number
    }

    /// The pull request `number` changes the file `path` by `diff`, the parts of a unified diff.
    pub fn change(&self, number: u64, path: &str, diff: &str) {
        let mut repository = self.shared.repository();
        let mut pulls = repository.pulls.iter_mut();
        if let Some(pull) = pulls.find(|pull| pull.number == number) {
            pull.files.push((path.to_owned(), diff.to_owned()));
        }
        repository.save();
    }

    /// `by` dismisses every open alert of `rule`, with GitHub's `reason`.
    pub fn dismiss(&self, by: &Account, rule: &str, reason: &str, comment: &str) {
        let mut repository = self.shared.repository();
        let alerts = repository.alerts();
        let numbers = alerts.iter().filter(|alert| alert.rule.id == rule);
        let dismissals: Vec<_> = numbers
            .map(|alert| alerts::Dismissal {
                number: alert.number,
                by: by.clone(),
                reason: reason.to_owned(),
                comment: comment.to_owned(),
                at: response::now(),
            })
            .collect();
        repository.dismissals.extend(dismissals);
        repository.save();
    }

    /// A comment by `author` on the issue or pull request `on`.
    pub fn comment_by(&self, author: Account, on: u64, body: &str) {
        let mut repository = self.shared.repository();
        let id = repository.next_number();
        let comment = comments::Comment::new(id, on, author, body);
        repository.comments.push(comment);
        repository.save();
    }

    /// An issue that `author` opens; its number.
    pub fn issue_by(&self, author: Account, title: &str, body: &str) -> u64 {
        let mut repository = self.shared.repository();
        let number = repository.next_number();
        let issue = issues::Issue::new(number, author, title, body);
        repository.issues.push(issue);
        repository.save();
        number
    }

    /// Accept no more requests, and finish those in progress.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

// The parameters have the names of GitHub's description, so that a route identifies its operation.
fn router(shared: &Shared) -> Router {
    let operations = Router::new()
        .route("/code-scanning/sarifs", post(handle(code_scanning::upload)))
        .route(
            "/code-scanning/sarifs/{sarif_id}",
            get(handle(code_scanning::uploaded)),
        )
        .route(
            "/code-scanning/analyses",
            get(handle(code_scanning::analyses)),
        )
        .route(
            "/code-scanning/analyses/{analysis_id}",
            get(handle(code_scanning::analysis)),
        )
        .route("/code-scanning/alerts", get(handle(code_scanning::alerts)))
        .route(
            "/code-scanning/alerts/{alert_number}",
            patch(handle(code_scanning::update_alert)),
        )
        .route(
            "/issues",
            get(handle(issues::list)).post(handle(issues::create)),
        )
        .route(
            "/issues/{issue_number}",
            get(handle(issues::get)).patch(handle(issues::update)),
        )
        .route(
            "/issues/{issue_number}/comments",
            get(handle(comments::list)).post(handle(comments::create)),
        )
        .route(
            "/issues/comments/{comment_id}",
            get(handle(comments::get)).patch(handle(comments::update)),
        )
        .route(
            "/deployments",
            get(handle(deployments::list)).post(handle(deployments::create)),
        )
        .route(
            "/deployments/{deployment_id}",
            get(handle(deployments::get)),
        )
        .route(
            "/deployments/{deployment_id}/statuses",
            get(handle(deployments::statuses)).post(handle(deployments::add_status)),
        )
        .route("/pulls", get(handle(pulls::list)))
        .route("/pulls/{pull_number}", get(handle(pulls::get)))
        .route("/pulls/{pull_number}/files", get(handle(pulls::files)))
        .route(
            "/dependency-graph/snapshots",
            post(handle(repository::snapshot)),
        )
        .route("/", get(handle(repository::get)));
    let api = Router::new()
        .nest("/repos/{owner}/{repo}", operations)
        .merge(records::routes())
        .layer(from_fn_with_state(shared.clone(), middleware::described))
        .layer(from_fn_with_state(shared.clone(), middleware::admit));
    Router::new()
        .route("/", get(home))
        .route("/security", get(security))
        .route("/user", get(account::get))
        .route("/graphql", post(account::graphql))
        .merge(api)
        .fallback(async || response::not_found())
        .layer(from_fn(middleware::headers))
        .layer(DefaultBodyLimit::disable())
        .with_state(shared.clone())
}

async fn home(State(shared): State<Shared>) -> Html<String> {
    Html(page::home(&shared.repository()))
}

async fn security(State(shared): State<Shared>) -> Html<String> {
    Html(page::security(&shared.repository()))
}
