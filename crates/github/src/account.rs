//! Who wrote a comment or an issue: only what the token's own account wrote is changed.
//!
//! Anybody may write a comment that begins with our marker. The account of a token is:
//!
//! - `viewer` of the GraphQL API, for every kind of token: the user of a personal access token, `github-actions[bot]` of
//!   `GITHUB_TOKEN`, `<app>[bot]` of another app's installation (github.com/cli/cli, `CurrentLoginName`, which
//!   `gh auth status` shows). Its `databaseId` is the `id` of an author in the REST API;
//! - where there is no GraphQL, `GET /user` (docs.github.com/rest/users/users, "Get the authenticated user"), which
//!   responds to the token of a user only: 403, "Resource not accessible by integration", to that of an app;
//! - otherwise `github-actions[bot]`, the account of the token that a step has by default
//!   (`docs.github.com/actions/concepts/security/github_token`).

use http_client::Method;
use serde::Deserialize;
use serde_json::json;

use crate::Client;
use crate::client::{Call, Retry};

/// The account of `GITHUB_TOKEN`.
const ACTIONS: &str = "github-actions[bot]";

/// The account that a token acts as.
#[derive(Debug)]
pub(crate) enum Account {
    /// By its id, which does not change when it is renamed.
    Id(u64),
    /// That of `GITHUB_TOKEN`.
    Actions,
}

/// The author of a comment or an issue.
#[derive(Debug, Deserialize)]
pub(crate) struct Author {
    id: u64,
    login: String,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct User {
    id: u64,
}

#[derive(Deserialize)]
struct Response {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    viewer: Viewer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Viewer {
    database_id: u64,
}

impl Account {
    fn is(&self, author: &Author) -> bool {
        match self {
            Self::Id(id) => *id == author.id,
            // A user's login has no brackets.
            Self::Actions => author.login == ACTIONS && author.kind == "Bot",
        }
    }
}

impl Client {
    /// Whether `author` is the account of the token; no author is a deleted account.
    pub(crate) async fn is_author(&self, author: Option<&Author>) -> bool {
        let Some(author) = author else {
            return false;
        };
        let account = self.account.get_or_init(|| self.find_account()).await;
        account.is(author)
    }

    async fn find_account(&self) -> Account {
        // On a server of one's own, the REST API is at `/api/v3` and GraphQL at `/api/graphql`
        // (docs.github.com/enterprise-server/graphql/guides/forming-calls-with-graphql).
        let root = self.base().strip_suffix("/v3").unwrap_or(self.base());
        let query = json!({"query": "query { viewer { databaseId } }"});
        if let Ok(call) = self.call(Method::POST, format!("{root}/graphql"), &query)
            && let Ok(response) = self.send::<Response>(&call, Retry::Transient).await
        {
            return Account::Id(response.data.viewer.database_id);
        }
        let call = Call::get(format!("{}/user", self.base()));
        match self.send::<User>(&call, Retry::Transient).await {
            Ok(user) => Account::Id(user.id),
            Err(_) => Account::Actions,
        }
    }
}
