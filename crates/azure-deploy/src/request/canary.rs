//! The canary: the shares that the new version gets first, and what the manifests need for it.

use std::time::Duration;

use actions_toolkit::{BadInput, Scope, Value};

use crate::action::Inputs;
use crate::kubernetes::Object;
use crate::manifests::ImageNames;
use crate::steps::canary;

/// A share of the pods, in percent: at least 1, at most 99.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share(u32);

/// The steps of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Canary {
    /// Each larger than the one before it.
    pub(crate) shares: Vec<Share>,
    /// How long each step is observed.
    pub(crate) pause: Duration,
}

impl Share {
    /// In percent.
    pub(crate) fn percent(self) -> u32 {
        self.0
    }
}

impl Canary {
    /// The canary of `inputs`, if it is requested.
    ///
    /// # Errors
    /// [`BadInput`] for shares that do not grow.
    pub(super) fn from_inputs(inputs: &Inputs) -> Result<Option<Self>, BadInput> {
        let shares = inputs.canary.0.clone();
        if shares.is_empty() {
            return Ok(None);
        }
        if !shares.is_sorted_by(|one, next| one < next) {
            let problem = "each share must be larger than the one before it, as in `10%,50%`";
            return Err(BadInput::new(Inputs::canary, problem));
        }
        Ok(Some(Self {
            shares,
            pause: inputs.canary_pause.0,
        }))
    }
}

/// Check that a Deployment among `objects` runs an image of `names`, and that each that does may have a canary.
///
/// # Errors
/// [`BadInput`] with the first problem.
pub(super) fn check(objects: &[Object], names: &ImageNames) -> Result<(), BadInput> {
    let bad = |problem: String| Err(BadInput::new(Inputs::canary, problem));
    let mut deployments = canary::deployments(objects, names).peekable();
    if deployments.peek().is_none() {
        return bad(format!(
            "requires a Deployment that runs `{}`; a StatefulSet or DaemonSet has no canary",
            names.repository()
        ));
    }
    for deployment in deployments {
        let label = deployment.label();
        if deployment.text("/spec/strategy/type") == "Recreate" {
            return bad(format!(
                "{label} has the strategy `Recreate`, by which two versions never run at the same time"
            ));
        }
        let canary = canary::of(deployment, 1);
        if objects.iter().any(|object| object.is_same(&canary)) {
            return bad(format!(
                "the canary of {label} would be {}, which is in the manifests",
                canary.label()
            ));
        }
    }
    Ok(())
}

impl Value for Share {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let percent = text
            .strip_suffix('%')
            .and_then(|number| number.parse().ok());
        match percent {
            Some(percent @ 1..=99) => Ok(Self(percent)),
            _ => Err(format!(
                "invalid share `{text}`; use a percentage from `1%` to `99%`, such as `10%`"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(name: &str, strategy: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
            "strategy": {"type": strategy}, "template": {"spec": {"containers": [{"image": "app:1"}]}},
        }})
    }

    #[test]
    fn what_can_have_no_canary_is_named() {
        let check = |values: &[Value]| {
            let objects = values.iter().cloned();
            let objects: Vec<_> = objects.map(|value| Object::of_test(value, None)).collect();
            let names = ImageNames::of_test("app");
            super::check(&objects, &names).map_err(|e| e.to_string())
        };
        let rolling = deployment("web", "RollingUpdate");
        assert_eq!(check(std::slice::from_ref(&rolling)), Ok(()));
        let mut set = rolling.clone();
        set["kind"] = "StatefulSet".into();
        let table = [
            (
                vec![set],
                "requires a Deployment that runs `app`; a StatefulSet or DaemonSet has no canary",
            ),
            (
                vec![deployment("web", "Recreate")],
                "Deployment/web has the strategy `Recreate`, by which two versions never run at the same time",
            ),
            (
                vec![rolling, deployment("web-canary", "RollingUpdate")],
                "the canary of Deployment/web would be Deployment/web-canary, which is in the manifests",
            ),
        ];
        for (values, expected) in table {
            let expected = format!("input `canary`: {expected}");
            assert_eq!(check(&values).unwrap_err(), expected);
        }
    }
}
