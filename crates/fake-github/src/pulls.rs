//! Pull requests: what a run looks up to know where its comment goes.

use axum::extract::Query;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::handle::{Id, Outcome, Reply, find};
use super::links::{Links, bot, user};
use super::repository;
use super::response::{Paging, now, with};
use super::state::Repository;

/// A pull request of one branch of the repository onto another.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Pull {
    pub(super) number: u64,
    pub(super) title: String,
    /// The branch with the change, and its newest commit.
    pub(super) head: (String, String),
    /// The branch that it is for.
    pub(super) base: String,
    /// Paths with their patches.
    #[serde(default)]
    pub(super) files: Vec<(String, String)>,
    created: String,
    closed: Option<String>,
}

impl Pull {
    pub(super) fn new(number: u64, title: &str, head: (&str, &str), base: &str) -> Self {
        Self {
            number,
            title: title.into(),
            head: (head.0.into(), head.1.into()),
            base: base.into(),
            files: Vec::new(),
            created: now(),
            closed: None,
        }
    }

    fn state(&self) -> &'static str {
        if self.closed.is_some() {
            "closed"
        } else {
            "open"
        }
    }

    fn json(&self, links: &Links) -> Value {
        let number = self.number;
        let url = links.api(&format!("pulls/{number}"));
        let issue = links.api(&format!("issues/{number}"));
        let page = format!("https://github.com/{}/pull/{number}", links.repository);
        let statuses = links.api(&format!("statuses/{}", self.head.1));
        let owner = links.owner();
        let side = |branch: &str, sha: &str| {
            json!({
                "label": format!("{owner}:{branch}"), "ref": branch, "sha": sha,
                "user": user(owner, 1, links.kind_of_owner), "repo": repository::json(links, 0),
            })
        };
        let link = |to: &str| json!({"href": to});
        let comments = format!("{issue}/comments");
        let review = format!("{url}/comments");
        let one_review = links.api("pulls/comments{/number}");
        let commits = format!("{url}/commits");
        let pull = json!({
            "id": number, "node_id": format!("PR_{number}"), "number": number, "state": self.state(),
            "locked": false, "title": self.title, "user": bot(), "body": null, "labels": [], "milestone": null,
            "created_at": self.created, "updated_at": self.created, "closed_at": self.closed, "merged_at": null,
            "merge_commit_sha": null, "assignee": null, "assignees": [], "draft": false, "auto_merge": null,
            "author_association": "CONTRIBUTOR", "requested_reviewers": [], "requested_teams": [],
            "head": side(&self.head.0, &self.head.1), "base": side(&self.base, &"0".repeat(40)),
        });
        let addresses = json!({
            "url": url, "html_url": page, "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"),
            "issue_url": issue, "commits_url": commits, "review_comments_url": review,
            "review_comment_url": one_review, "comments_url": comments, "statuses_url": statuses,
            "_links": {
                "self": link(&url), "html": link(&page), "issue": link(&issue), "comments": link(&comments),
                "review_comments": link(&review), "review_comment": link(&one_review),
                "commits": link(&commits), "statuses": link(&statuses),
            },
        });
        with(pull, &addresses)
    }
}

#[derive(Deserialize)]
pub(super) struct Filter {
    state: Option<String>,
    /// `owner:branch`.
    head: Option<String>,
    base: Option<String>,
}

impl Filter {
    fn has(&self, pull: &Pull, owner: &str) -> bool {
        let state = self.state.as_deref().unwrap_or("open");
        let head = format!("{owner}:{}", pull.head.0);
        (state == "all" || state == pull.state())
            && self.head.as_ref().is_none_or(|filter| *filter == head)
            && self.base.as_ref().is_none_or(|base| *base == pull.base)
    }
}

pub(super) fn list(
    repository: &mut Repository,
    links: &Links,
    (Query(filter), Query(paging)): (Query<Filter>, Query<Paging>),
) -> Reply {
    // The newest first.
    let matches = repository
        .pulls
        .iter()
        .rev()
        .filter(|pull| filter.has(pull, links.owner()));
    Reply::Listed {
        all: matches.map(|pull| pull.json(links)).collect(),
        paging,
        address: links.api("pulls"),
    }
}

pub(super) fn files(
    repository: &mut Repository,
    links: &Links,
    (Id(number), Query(paging)): (Id<u64>, Query<Paging>),
) -> Outcome {
    let pull = find(&mut repository.pulls, |pull| pull.number == number)?;
    let sha = &pull.head.1;
    let files = pull.files.iter().map(|(path, diff)| {
        let count = |sign| diff.lines().filter(|line| line.starts_with(sign)).count();
        let (additions, deletions) = (count('+'), count('-'));
        json!({
            "sha": sha, "filename": path, "status": "modified", "additions": additions, "deletions": deletions,
            "changes": additions + deletions, "patch": diff,
            "blob_url": format!("https://github.com/{}/blob/{sha}/{path}", links.repository),
            "raw_url": format!("https://github.com/{}/raw/{sha}/{path}", links.repository),
            "contents_url": links.api(&format!("contents/{path}?ref={sha}")),
        })
    });
    Ok(Reply::Listed {
        all: files.collect(),
        paging,
        address: links.api(&format!("pulls/{number}/files")),
    })
}

pub(super) fn get(repository: &mut Repository, links: &Links, Id(number): Id<u64>) -> Outcome {
    let pull = find(&mut repository.pulls, |pull| pull.number == number)?;
    let response = pull.json(links);
    let comments = repository.comments_on(number);
    let more = json!({
        "merged": false, "mergeable": true, "rebaseable": true, "mergeable_state": "clean", "merged_by": null,
        "comments": comments, "review_comments": 0, "maintainer_can_modify": false,
        "commits": 1, "additions": 1, "deletions": 0, "changed_files": 1,
    });
    Ok(Reply::Found(with(response, &more)))
}
