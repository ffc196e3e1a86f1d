//! Releases of Helm charts.

use super::uploading::in_workspace;
use crate::helm::Release;
use crate::job::Planner;
use crate::plan::{Fate, NewStep, Weight};
use crate::role::Role;

impl Planner<'_> {
    /// Each step that makes a release becomes a deployment.
    pub(super) fn releases(&mut self) {
        for index in 0..self.job.steps.len() {
            let Role::Helm(release) = &self.roles.roles[index] else {
                continue;
            };
            let mut release = release.clone();
            match self.release(&mut release) {
                Ok((mut new, lost)) => {
                    self.watchers(index, &release, &mut new);
                    self.deploy(index, new, lost);
                }
                Err(reason) => self.note(index, Weight::Not, reason),
            }
        }
    }

    fn release(&mut self, release: &mut Release) -> Result<(NewStep, Vec<String>), String> {
        if let Some(alias) = release.alias().filter(|alias| self.adds_repository(alias)) {
            return Err(format!(
                "`{}` is in the repository `{alias}`: run `helm pull --untar` in an earlier step, and name the directory of the chart",
                release.named
            ));
        }
        for path in release.paths_mut() {
            let relative = in_workspace(path).ok_or_else(|| {
                format!("`{path}` may be outside of the workspace: name a path in it, without `..`")
            })?;
            *path = relative.to_owned();
        }
        let mut new = NewStep::new("azure-deploy");
        let mut lost = Vec::new();
        let images = self.images(release.images())?;
        self.finish(&mut new, None, &images, &mut lost)?;
        lost.extend(release.set(&mut new));
        self.chart_login(release, &images, &mut new);
        Ok((new, lost))
    }

    fn adds_repository(&self, alias: &str) -> bool {
        // A command may go on in the next line.
        let text = self.text.replace("\\\r\n", " ").replace("\\\n", " ");
        let lines = text.lines();
        let mut added = lines.filter_map(|line| line.split_once("helm repo add "));
        let is_alias = |word: &str| word.trim_matches(['"', '\'']) == alias;
        added.any(|(_, words)| words.split_whitespace().any(is_alias))
    }

    // The login for the registry of the chart, where that of the image is another one.
    fn chart_login(&mut self, release: &Release, images: &[String], new: &mut NewStep) {
        let logins = self.roles.logins.iter();
        let mut logins = logins.filter(|login| Some(login.host.as_str()) == release.host());
        let Some(login) = logins.find(|login| login.user.is_some()).cloned() else {
            return;
        };
        if login.is_own_token() {
            self.plan.permit("packages", "read");
        }
        let is_of_image = images.first().is_some_and(|image| login.is_for(image));
        if let Some((user, secret)) = login.user.filter(|_| !is_of_image) {
            new.set("source-username", user);
            new.set("source-password", secret);
        }
    }

    // Steps of kubectl that only wait for the release, or create its namespace, are a part of the deployment.
    fn watchers(&mut self, index: usize, release: &Release, new: &mut NewStep) {
        let is_change = |role: &Role| matches!(role, Role::Kubectl(objects) if !objects.manifests.is_empty() || !objects.images.is_empty());
        if self.roles.roles.iter().any(is_change) {
            return;
        }
        for at in 0..self.job.steps.len() {
            let Role::Kubectl(objects) = &self.roles.roles[at] else {
                continue;
            };
            let is_of_release =
                objects.namespace.is_none() || objects.namespace == release.namespace;
            let is_alike = self.job.steps[at].condition == self.job.steps[index].condition;
            let is_left = self.plan.fates[at] == Fate::Stay;
            if !(is_of_release && is_alike && is_left) || self.is_referenced(at) {
                continue;
            }
            if objects.creates_namespace {
                new.set("create-namespace", "true");
            }
            if let Some(timeout) = objects.timeout.as_ref()
                && !new.has("rollout-timeout")
            {
                new.set("rollout-timeout", timeout.clone());
            }
            self.plan.fates[at] = Fate::Remove;
            self.plan.moved += 1;
        }
    }
}
