//! The repository itself, and what its code depends on.

use axum::Json;
use serde_json::{Value, json};

use super::handle::Reply;
use super::links::{Links, user};
use super::response::{now, with};
use super::state::Repository;

/// Addresses that are the repository's own with a suffix.
const SUFFIXES: [(&str, &str); 37] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    (
        "notifications_url",
        "/notifications{?since,all,participating}",
    ),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
];

pub(super) fn get(repository: &mut Repository, links: &Links, (): ()) -> Reply {
    let issues = repository.issues.iter();
    let open = issues.filter(|issue| issue.state() == "open").count();
    Reply::Found(json(links, open))
}

/// The repository with `open` open issues, the object of the API's responses.
pub(super) fn json(links: &Links, open: usize) -> Value {
    let repository = &links.repository;
    let (owner, name) = repository.split_once('/').unwrap_or_default();
    let page = format!("https://github.com/{repository}");
    let object = json!({
        "id": 1, "node_id": "R_1", "name": name, "full_name": repository, "owner": user(owner, 1, links.kind_of_owner),
        "private": false, "visibility": "public", "fork": false, "description": null, "homepage": null, "language": null,
        "html_url": page, "clone_url": format!("{page}.git"), "svn_url": page, "mirror_url": null,
        "git_url": format!("git://github.com/{repository}.git"), "ssh_url": format!("git@github.com:{repository}.git"),
        "default_branch": "main", "archived": false, "disabled": false, "license": null, "size": 0,
    });
    let counts = json!({
        "has_downloads": true, "has_issues": true, "has_projects": true, "has_wiki": false, "has_pages": false, "has_discussions": false,
        "forks": 0, "forks_count": 0, "stargazers_count": 0, "watchers": 0, "watchers_count": 0,
        "network_count": 0, "subscribers_count": 0, "open_issues": open, "open_issues_count": open,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "pushed_at": "2026-01-01T00:00:00Z",
        "permissions": {"admin": false, "pull": true, "push": true},
    });
    let mut object = with(object, &counts);
    for (field, suffix) in SUFFIXES {
        object[field] = json!(format!("{}{suffix}", links.root()));
    }
    object
}

pub(super) fn snapshot(repository: &mut Repository, _: &Links, Json(body): Json<Value>) -> Reply {
    let id = repository.next_number();
    repository.snapshots.push(body);
    let message = "Dependency results for the repo have been successfully updated.";
    let response = json!({"id": id, "created_at": now(), "result": "SUCCESS", "message": message});
    Reply::Created(response)
}
