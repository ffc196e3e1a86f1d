//! Steps that only prepare others: they are removed if nothing is left that needs them.

use crate::job::Planner;
use crate::plan::{Fate, Weight};
use crate::role::{Role, Tool};

impl Planner<'_> {
    pub(super) fn support(&mut self) {
        if self.plan.moved == 0 {
            return;
        }
        for index in 0..self.job.steps.len() {
            let is_moved = match &self.roles.roles[index] {
                Role::Login => {
                    self.plan.replaced.contains(&index)
                        && !self.is_left(&[
                            "docker", "podman", "buildx", "cosign", "crane", "skopeo", "oras",
                            "helm", "az acr",
                        ])
                }
                Role::AzureLogin => {
                    self.plan.replaced.contains(&index)
                        && !self.is_left(&["az ", "kubectl", "helm", "azure", "Az"])
                }
                Role::AksContext | Role::KubernetesContext | Role::Credentials => {
                    self.plan.replaced.contains(&index)
                        && !self.is_left(&["kubectl", "helm", "kustomize", "flux", "argocd"])
                }
                Role::PullSecret | Role::Bake => self.plan.replaced.contains(&index),
                Role::Setup(tool) => {
                    let (is_used, words): (bool, &[&str]) = match tool {
                        Tool::Trivy => (self.has_moved("trivy-scan"), &["trivy"]),
                        Tool::Buildx => (self.has_moved("ci"), &["docker", "buildx", "make", "./"]),
                        Tool::Kubectl => (
                            self.has_moved("azure-deploy"),
                            &["kubectl", "kubelogin", "kustomize"],
                        ),
                        Tool::Helm => (self.has_moved("azure-deploy"), &["helm"]),
                    };
                    is_used && !self.is_left(words)
                }
                _ => false,
            };
            if is_moved && !self.is_referenced_after_move(index) {
                self.plan.fates[index] = Fate::Remove;
                self.support_losses(index);
            }
        }
    }

    fn has_moved(&self, action: &str) -> bool {
        self.plan
            .fates
            .iter()
            .any(|fate| matches!(fate, Fate::Become(new) if new.action == action))
    }

    // Whether a step that stays may need what another one prepares: a command with one of these words, or an action
    // that is not known.
    fn is_left(&self, words: &[&str]) -> bool {
        self.job.steps.iter().enumerate().any(|(index, step)| {
            if self.plan.fates[index] != Fate::Stay {
                return false;
            }
            match (&self.roles.roles[index], &step.run) {
                (Role::Other | Role::Unread(_) | Role::TestRun(_), Some(script)) => {
                    words.iter().any(|word| script.contains(word))
                }
                (
                    Role::Other
                    | Role::Scan(_)
                    | Role::Patch(_)
                    | Role::Build(_)
                    | Role::KubernetesDeploy
                    | Role::Kubectl(_)
                    | Role::Helm(_)
                    | Role::Bake,
                    _,
                ) => true,
                _ => false,
            }
        })
    }

    // Outputs of a builder are used only by builds, which do not use them any more.
    fn is_referenced_after_move(&self, index: usize) -> bool {
        let is_builder = matches!(
            self.roles.roles[index],
            Role::Setup(Tool::Buildx) | Role::Bake
        );
        self.is_referenced(index) && !is_builder
    }

    fn support_losses(&mut self, index: usize) {
        let step = &self.job.steps[index];
        let peer = peers::peer(&step.action);
        if let Some(peer) = peer.filter(|_| {
            matches!(
                self.roles.roles[index],
                Role::Setup(_) | Role::Login | Role::Bake
            )
        }) {
            let mut lost = Vec::new();
            crate::plan::by_table(
                peer,
                &step.with,
                &mut crate::plan::NewStep::default(),
                &mut lost,
            );
            for text in lost {
                self.note(index, Weight::Loss, text);
            }
        }
    }
}
