//! The preview of a change: a deployment in its own namespace, which this action creates and removes.

use actions_toolkit::{BadInput, Context, Scope, Value as InputValue};
use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::{Value, json};

use crate::action::Inputs;
use crate::kubernetes::{Object, set, text};

/// The label of the namespace of a preview, with its name.
pub(crate) const LABEL: &str = "seaworthy/preview";
/// The annotation with the repository that the preview is of.
const OF: &str = "seaworthy/preview-of";
/// The annotation with the time from which on the preview may be removed.
const EXPIRES: &str = "seaworthy/preview-expires";
/// The longest name of a preview, and of a namespace (RFC 1123).
const NAME: usize = 30;
const NAMESPACE: usize = 63;

/// The input `preview`.
pub(crate) enum PreviewInput {
    Off,
    /// Of the pull request of the run.
    OfPullRequest,
    Named(String),
}

/// A preview.
#[derive(Debug, Clone)]
pub(crate) struct Preview {
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// `owner/name` on GitHub.
    repository: String,
    /// Whether its pull request is closed, so that it is removed.
    is_closed: bool,
    /// Whether the run is one of a schedule, which is for those alone whose deadline has passed.
    pub(crate) is_of_schedule: bool,
    pub(crate) expires: String,
}

impl InputValue for PreviewInput {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match text {
            "false" => Ok(Self::Off),
            "true" => Ok(Self::OfPullRequest),
            _ if text.len() <= NAME
                && text.chars().all(is_allowed)
                && !text.starts_with('-')
                && !text.ends_with('-') =>
            {
                Ok(Self::Named(text.to_owned()))
            }
            _ => Err(format!(
                "invalid name `{text}`; use at most {NAME} lower-case letters, digits and `-`, such as `pr-123`, or `true` for the pull request of the run"
            )),
        }
    }
}

impl Preview {
    /// The preview that `inputs` describe, of the run's event.
    ///
    /// # Errors
    /// [`BadInput`] when its name is to come from a pull request, and the run has none.
    pub(super) fn find(ctx: &Context, inputs: &Inputs) -> anyhow::Result<Option<Self>> {
        let input = match &inputs.preview {
            None | Some(PreviewInput::Off) => return Ok(None),
            Some(input) => input,
        };
        let bad = |problem: &str| BadInput::new(Inputs::preview, problem);
        let github = ctx.github();
        // Whether a namespace may be removed depends on it.
        let repository = github.repository().ok_or_else(|| {
            bad("a preview belongs to a repository on GitHub, and `GITHUB_REPOSITORY` is not set")
        })?;
        let event = github.event().unwrap_or_default();
        let number = ["/pull_request/number", "/number"];
        let number = number.iter().find_map(|at| event.pointer(at)?.as_u64());
        let name = match (input, number) {
            (PreviewInput::Named(name), _) => name.clone(),
            (_, Some(number)) => format!("pr-{number}"),
            (_, None) if github.event_name() == Some("schedule") => String::new(),
            (_, None) => {
                return Err(bad("`true` takes the name from a pull request, which the event of this run has not; name the preview, such as `pr-123`").into());
            }
        };
        let of_image = || {
            let repository = inputs.image.0.repository();
            let last = repository.rsplit('/').next().unwrap_or(repository);
            let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            let allowed = last.chars().map(|c| if is_allowed(c) { c } else { '-' });
            allowed.collect()
        };
        let base = inputs.namespace.clone().unwrap_or_else(of_image);
        let is_pull_request = github
            .event_name()
            .is_some_and(|name| name.starts_with("pull_request"));
        let age = SignedDuration::try_from(inputs.preview_age.0).unwrap_or(SignedDuration::MAX);
        let expires = Timestamp::now().saturating_add(age)?;
        Ok(Some(Self {
            namespace: namespace(&base, &name),
            is_of_schedule: name.is_empty(),
            name,
            repository: repository.to_owned(),
            is_closed: is_pull_request && text(&event, "/action") == "closed",
            expires: expires.round(Unit::Second)?.to_string(),
        }))
    }

    /// Whether nothing is deployed.
    pub(crate) fn only_removes(&self) -> bool {
        self.is_closed || self.is_of_schedule
    }

    /// Its namespace as an object; `base` is a manifest of it, if there is one.
    pub(crate) fn namespace_object(&self, base: Option<Value>) -> Object {
        let mut value = base.unwrap_or_else(|| json!({"apiVersion": "v1", "kind": "Namespace"}));
        set(
            &mut value,
            &["metadata", "name"],
            self.namespace.clone().into(),
        );
        for (field, name, new) in [
            ("labels", LABEL, &self.name),
            ("annotations", OF, &self.repository),
            ("annotations", EXPIRES, &self.expires),
        ] {
            set(&mut value, &["metadata", field, name], new.clone().into());
        }
        Object {
            file: "input `preview`".to_owned(),
            document: None,
            value,
            default_namespace: None,
        }
    }

    /// Whether `live`, a namespace, is one of a preview of this repository.
    pub(crate) fn is_of_same_repository(&self, live: &Value) -> bool {
        live["metadata"]["labels"][LABEL].is_string()
            && live["metadata"]["annotations"][OF] == *self.repository
            && !self.repository.is_empty()
    }

    /// Whether `live`, a namespace, is this preview's.
    pub(crate) fn is_own(&self, live: &Value) -> bool {
        self.is_of_same_repository(live)
            && live["metadata"]["labels"][LABEL] == *self.name
            && live["metadata"]["name"] == *self.namespace
    }

    /// Whether `live`, a namespace, is another preview of this repository whose deadline has passed at `now`.
    pub(crate) fn is_overdue(&self, live: &Value, now: Timestamp) -> bool {
        let expires = live["metadata"]["annotations"][EXPIRES].as_str();
        let expires = expires.and_then(|text| text.parse::<Timestamp>().ok());
        self.is_of_same_repository(live)
            && !self.is_own(live)
            && expires.is_some_and(|expires| expires < now)
    }
}

#[cfg(test)]
impl Preview {
    /// A preview of `octo-org/shop`.
    pub(crate) fn of_test(name: &str, namespace: &str) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            repository: "octo-org/shop".into(),
            is_closed: false,
            is_of_schedule: false,
            expires: "2026-01-04T00:00:00Z".into(),
        }
    }
}

// `shop-pr-123`.
fn namespace(base: &str, name: &str) -> String {
    let room = NAMESPACE - 1 - name.len();
    let base: String = base.chars().take(room).collect();
    let base = base.trim_matches('-');
    if base.is_empty() {
        format!("preview-{name}")
    } else {
        format!("{base}-{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview() -> Preview {
        Preview::of_test("pr-7", "shop-pr-7")
    }

    #[test]
    fn only_namespaces_of_previews_of_the_repository_are_removed() {
        let now: Timestamp = "2026-01-04T00:00:01Z".parse().unwrap();
        let own = preview();
        let live = |preview: &Preview| preview.namespace_object(None).value;
        assert!(own.is_own(&live(&own)) && !own.is_overdue(&live(&own), now));
        let other = Preview {
            name: "pr-6".into(),
            namespace: "shop-pr-6".into(),
            ..preview()
        };
        assert!(!own.is_own(&live(&other)) && own.is_overdue(&live(&other), now));
        let fresh = Preview {
            expires: "2026-01-05T00:00:00Z".into(),
            ..other.clone()
        };
        assert!(!own.is_overdue(&live(&fresh), now));
        let foreign = Preview {
            repository: "octo-org/other".into(),
            ..other.clone()
        };
        assert!(!own.is_overdue(&live(&foreign), now));
        let of_nobody = Preview {
            repository: String::new(),
            ..other
        };
        assert!(!of_nobody.is_of_same_repository(&live(&of_nobody)));
        for (pointer, value) in [
            ("labels", json!({})),
            ("annotations", json!({})),
            ("annotations", json!({OF: "octo-org/shop"})),
        ] {
            let mut live = live(&fresh);
            live["metadata"][pointer] = value;
            assert!(!own.is_overdue(&live, now) && !own.is_own(&live), "{live}");
        }
    }

    #[test]
    fn the_namespace_has_the_name_of_the_preview() {
        assert_eq!(namespace("shop", "pr-7"), "shop-pr-7");
        assert_eq!(namespace("---", "pr-7"), "preview-pr-7");
        assert_eq!(namespace(&"x".repeat(80), "pr-7").len(), 63);
    }
}
