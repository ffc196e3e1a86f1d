//! The actions that the four actions of this repository replace: each input and output of theirs, and what it becomes.
//!
//! The one table of mappings. The program `migrate` moves workflows by it, `docs/migrate.md` is generated from it, and an
//! action that gets an input of another one takes its hint from it. It has no dependencies, since every action has it.

mod build;
mod deploy;
mod helm;
mod mapping;
mod patch;
mod reports;
mod scan;

pub use mapping::{Mapping, Peer, Rule};

/// Every action that is replaced, by the action that replaces it, in the order of the documents.
pub const PEERS: &[&Peer] = &[
    &scan::TRIVY,
    &scan::UPLOAD_SARIF,
    &patch::COPA,
    &build::BUILD_PUSH,
    &build::METADATA,
    &build::LOGIN,
    &build::BUILDX,
    &build::QEMU,
    &reports::PUBLISH,
    &reports::REPORTER,
    &reports::JUNIT_REPORT,
    &deploy::K8S_DEPLOY,
    &deploy::K8S_BAKE,
    &deploy::LOGIN,
    &deploy::AKS_CONTEXT,
    &deploy::K8S_CONTEXT,
    &deploy::DOCKER_LOGIN,
    &deploy::KUBECTL,
    &deploy::HELM_SETUP,
    &helm::HELM,
];

/// The action that a step names in `uses`, without its version.
pub fn peer(name: &str) -> Option<&'static Peer> {
    PEERS
        .iter()
        .copied()
        .find(|peer| peer.name.eq_ignore_ascii_case(name))
}

/// What to do instead of `input`, for who gives an input of another action to `action`.
pub fn hint(action: &str, input: &str) -> Option<String> {
    PEERS
        .iter()
        .filter(|peer| peer.action == action)
        .find_map(|peer| peer.input(input))
        .map(Mapping::hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_found_in_any_case() {
        assert_eq!(peer("azure/k8s-deploy"), peer("Azure/k8s-deploy"));
        assert!(peer("actions/checkout").is_none());
    }

    #[test]
    fn a_hint_names_the_new_input_or_the_reason() {
        let hint = |input| hint("trivy-scan", input).unwrap_or_default();
        assert_eq!(hint("image-ref"), "use `image`");
        assert_eq!(
            hint("hide-progress"),
            "remove it: a log has no progress bar"
        );
        assert!(
            hint("exit-code").starts_with("use `fail-on`"),
            "{}",
            hint("exit-code")
        );
        assert!(
            hint("template").starts_with("it has no counterpart: "),
            "{}",
            hint("template")
        );
        assert_eq!(hint("no-such-input"), "");
    }

    #[test]
    fn no_input_of_an_action_is_listed_twice() {
        for peer in PEERS {
            for list in [peer.inputs, peer.outputs, peer.environment] {
                let mut names: Vec<_> = list.iter().map(|mapping| mapping.old).collect();
                let all = names.len();
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), all, "{}", peer.name);
            }
        }
    }

    #[test]
    fn what_is_unneeded_or_lost_has_a_reason() {
        let all = PEERS
            .iter()
            .flat_map(|peer| peer.inputs.iter().chain(peer.outputs));
        for mapping in all {
            let has_target = !mapping.targets().is_empty();
            assert!(has_target || !mapping.note.is_empty(), "{}", mapping.old);
        }
    }
}
