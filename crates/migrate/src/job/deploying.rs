//! Deployments to a cluster.

use crate::deploy::{Objects, Target, set_images};
use crate::job::Planner;
use crate::plan::{Fate, NewStep, Weight, by_table};
use crate::role::Role;
use crate::value::{expression, is_true, list};

const DEPLOY: &str = "Azure/k8s-deploy";

impl Planner<'_> {
    /// What the job's steps say about the cluster and the identity.
    pub(super) fn target(&self) -> Target {
        let mut target = Target::default();
        for (index, role) in self.roles.roles.iter().enumerate() {
            let step = &self.job.steps[index];
            let value = |name: &str| step.input(name).map(ToOwned::to_owned);
            match role {
                Role::AzureLogin => {
                    if let Some(creds) = step.input("creds") {
                        let field = |name: &str| {
                            let secret = expression(creds)?;
                            Some(format!("${{{{ fromJSON({secret}).{name} }}}}"))
                        };
                        target.client_id = field("clientId");
                        target.tenant_id = field("tenantId");
                        target.subscription_id = field("subscriptionId");
                        target.client_secret = field("clientSecret");
                    } else {
                        target.client_id = value("client-id");
                        target.tenant_id = value("tenant-id");
                        target.subscription_id = value("subscription-id");
                    }
                    target.audience =
                        value("audience").filter(|text| text != "api://AzureADTokenExchange");
                    target.cloud = value("environment")
                        .and_then(|name| Target::cloud(&name))
                        .unwrap_or_default();
                }
                Role::AksContext => {
                    target.resource_group = value("resource-group");
                    target.cluster = value("cluster-name");
                    target.subscription_id = value("subscription").or(target.subscription_id);
                }
                Role::KubernetesContext => target.kubeconfig = value("kubeconfig"),
                _ => {}
            }
        }
        if let Some((_, group, name)) = self.roles.clusters.last() {
            target.resource_group = Some(group.clone());
            target.cluster = Some(name.clone());
        }
        target
    }

    pub(super) fn deployments(&mut self) {
        self.kubectl();
        for index in 0..self.job.steps.len() {
            if matches!(self.roles.roles[index], Role::KubernetesDeploy) {
                match self.kubernetes_deploy(index) {
                    Ok((new, lost)) => self.deploy(index, new, lost),
                    Err(reason) => self.note(index, Weight::Not, reason),
                }
            }
        }
        self.releases();
    }

    pub(super) fn deploy(&mut self, index: usize, new: NewStep, lost: Vec<String>) {
        let target = self.target();
        self.lose(index, lost);
        if target.client_secret.is_none() && target.kubeconfig.is_none() {
            self.plan.permit("id-token", "write");
        }
        for (at, role) in self.roles.roles.iter().enumerate() {
            let is_part = matches!(
                role,
                Role::AzureLogin | Role::AksContext | Role::KubernetesContext | Role::Credentials
            );
            let is_login = matches!(role, Role::Login) && at < index;
            let is_secret = matches!(role, Role::PullSecret) && new.has("image-pull-secret");
            if is_part || is_login || is_secret {
                self.plan.replaced.insert(at);
            }
        }
        if let Some(peer) = peers::peer(DEPLOY) {
            self.become_new(index, peer, new);
        }
        self.context_losses();
    }

    // What the steps before it did that the new one does not.
    fn context_losses(&mut self) {
        for index in 0..self.job.steps.len() {
            let peer = match self.roles.roles[index] {
                Role::AzureLogin | Role::AksContext | Role::KubernetesContext => {
                    peers::peer(&self.job.steps[index].action)
                }
                _ => None,
            };
            if let Some(peer) = peer {
                let mut lost = Vec::new();
                by_table(
                    peer,
                    &self.job.steps[index].with,
                    &mut NewStep::default(),
                    &mut lost,
                );
                self.lose(index, lost);
                let cloud = self.job.steps[index]
                    .input("environment")
                    .filter(|name| Target::cloud(name).is_none())
                    .map(ToOwned::to_owned);
                if let Some(cloud) = cloud {
                    self.note(index, Weight::Loss, format!("`environment: {cloud}`: set `resource-manager`, `authority-host` and `token-audience`"));
                }
            }
        }
    }

    fn kubernetes_deploy(&mut self, index: usize) -> Result<(NewStep, Vec<String>), String> {
        let step = &self.job.steps[index];
        let peer = peers::peer(DEPLOY).ok_or("unknown")?;
        if let Some(action) = step.input("action").filter(|action| *action != "deploy") {
            return Err(format!(
                "`action: {action}`: a failed rollout is rolled back, and there is nothing to promote or reject"
            ));
        }
        let mut new = NewStep::new("azure-deploy");
        let mut lost = Vec::new();
        by_table(peer, &step.with, &mut new, &mut lost);
        let manifests = step.input("manifests").unwrap_or_default();
        match self.baked(manifests)? {
            Some((bake, directory)) => {
                new.replace("manifests", "manifests", directory);
                self.plan.replaced.insert(bake);
            }
            None if manifests.contains(',') => new.replace(
                "manifests",
                "manifests",
                crate::value::joined(&list(manifests)),
            ),
            None => new.keep("manifests", "manifests"),
        }
        if step.input("private-cluster").is_some_and(is_true) {
            new.replace("private-cluster", "cluster-access", "run-command");
        }
        let given = step.input("images").map(list).unwrap_or_default();
        let is_single =
            given.len() == 1 && step.input("images") == given.first().map(String::as_str);
        let images = self.images(given)?;
        let old = step.input("images").map(|_| "images");
        self.finish(
            &mut new,
            if is_single || images.len() > 1 {
                old
            } else {
                None
            },
            &images,
            &mut lost,
        )?;
        if let Some(name) = step.input("imagepullsecrets") {
            if new.has("username") && list(name).len() == 1 {
                new.keep("imagepullsecrets", "image-pull-secret");
            } else {
                lost.push(format!("`imagepullsecrets: {name}`: set `image-pull-secret` with `username` and `password`, attach the registry to the cluster, or name the Secret in the manifests"));
            }
        }
        Ok((new, lost))
    }

    // The kustomization of k8s-bake, if the manifests are its output.
    fn baked(&self, manifests: &str) -> Result<Option<(usize, String)>, String> {
        for (index, role) in self.roles.roles.iter().enumerate() {
            let step = &self.job.steps[index];
            let id = step.id.as_deref().unwrap_or_default();
            if matches!(role, Role::Bake)
                && manifests.contains(&format!("steps.{id}.outputs.manifestsBundle"))
            {
                return match (step.input("renderEngine"), step.input("kustomizationPath")) {
                    (Some("kustomize"), Some(directory)) => Ok(Some((index, directory.to_owned()))),
                    (engine, _) => Err(format!(
                        "k8s-bake renders with {}: keep that step, and name the directory of its files in `manifests`",
                        engine.unwrap_or("another program")
                    )),
                };
            }
        }
        Ok(None)
    }

    // Those of the step, or the one that this workflow builds.
    pub(super) fn images(&self, given: Vec<String>) -> Result<Vec<String>, String> {
        if !given.is_empty() {
            return Ok(given);
        }
        let elsewhere = self
            .images_elsewhere
            .iter()
            .filter(|image| crate::value::is_shared(image, &self.job.env));
        let built: Vec<_> = self
            .images_here
            .iter()
            .chain(elsewhere)
            .filter(|image| image.contains(':'))
            .collect();
        match built.first() {
            Some(first) if built.len() == 1 => Ok(vec![(*first).clone()]),
            Some(_) => Err("the workflow builds several images, and does not show which one is deployed; set `image`".to_owned()),
            None => Err("it names no image, which `azure-deploy` verifies and sets in the manifests; set `image`".to_owned()),
        }
    }

    // The registry, the cluster and the identity.
    pub(super) fn finish(
        &mut self,
        new: &mut NewStep,
        old: Option<&str>,
        images: &[String],
        lost: &mut Vec<String>,
    ) -> Result<(), String> {
        let target = self.target();
        let mut logins = self.roles.logins.clone();
        logins.extend(
            self.logins_elsewhere
                .iter()
                .filter(|login| login.user.is_some() && login.is_shared(&self.job.env))
                .cloned(),
        );
        let is_azure = target.client_id.is_some();
        set_images(new, old, images, &logins, is_azure, lost);
        if images.first().is_some_and(|image| {
            logins
                .iter()
                .any(|login| login.is_for(image) && login.is_own_token())
        }) {
            self.plan.permit("packages", "read");
        }
        target.set(new)?;
        new.set("health-path", "none");
        Ok(())
    }

    // All steps of kubectl are one deployment, in the place of the last one that changes something.
    fn kubectl(&mut self) {
        let indices: Vec<_> = (0..self.job.steps.len())
            .filter(|at| matches!(self.roles.roles[*at], Role::Kubectl(_)))
            .collect();
        let is_change = |at: &&usize| matches!(&self.roles.roles[**at], Role::Kubectl(objects) if !objects.manifests.is_empty() || !objects.images.is_empty());
        let Some(place) = indices.iter().rfind(is_change).copied() else {
            return;
        };
        match self.kubectl_step(&indices, place) {
            Ok((new, lost)) => {
                for at in indices.iter().filter(|at| **at != place) {
                    self.plan.fates[*at] = Fate::Remove;
                    self.plan.moved += 1;
                }
                self.deploy(place, new, lost);
            }
            Err(reason) => self.note(place, Weight::Not, reason),
        }
    }

    fn kubectl_step(
        &mut self,
        steps: &[usize],
        place: usize,
    ) -> Result<(NewStep, Vec<String>), String> {
        let conditions: Vec<_> = steps
            .iter()
            .map(|at| &self.job.steps[*at].condition)
            .collect();
        if conditions.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err("the steps of kubectl run under different conditions".to_owned());
        }
        if self
            .roles
            .roles
            .iter()
            .any(|role| matches!(role, Role::Unread(_)))
            && self.job.steps.iter().enumerate().any(|(at, step)| {
                matches!(self.roles.roles[at], Role::Unread(_))
                    && step
                        .run
                        .as_deref()
                        .is_some_and(|run| run.contains("kubectl"))
            })
        {
            return Err("another step of kubectl in the job is not understood".to_owned());
        }
        if let Some(at) = steps.iter().find(|at| self.is_referenced(**at)) {
            return Err(format!(
                "another step refers to the step in line {}",
                self.job.steps[*at].line
            ));
        }
        let mut whole = Objects::default();
        for at in steps {
            if let Role::Kubectl(objects) = &self.roles.roles[*at] {
                whole.manifests.extend(objects.manifests.clone());
                whole.images.extend(objects.images.clone());
                if whole.namespace.is_some()
                    && objects.namespace.is_some()
                    && whole.namespace != objects.namespace
                {
                    return Err("the steps of kubectl use different namespaces".to_owned());
                }
                whole.namespace = whole.namespace.or_else(|| objects.namespace.clone());
                whole.creates_namespace |= objects.creates_namespace;
                whole.timeout = objects.timeout.clone().or(whole.timeout);
            }
        }
        if whole.manifests.is_empty() {
            return Err(format!(
                "`kubectl set image` in line {} has no manifests, which `azure-deploy` applies: write the objects into files",
                self.job.steps[place].line
            ));
        }
        whole.manifests.dedup();
        let mut new = NewStep::new("azure-deploy");
        let mut lost = Vec::new();
        let images = self.images(whole.images.clone())?;
        self.finish(&mut new, None, &images, &mut lost)?;
        match &whole.manifests[..] {
            [one] => new.set(
                "manifests",
                one.trim_start_matches("./").trim_end_matches('/'),
            ),
            several => new.set("manifests", crate::value::joined(several)),
        }
        if let Some(namespace) = whole.namespace {
            new.set("namespace", namespace);
        }
        if whole.creates_namespace {
            new.set("create-namespace", "true");
        }
        if let Some(timeout) = whole.timeout {
            new.set("rollout-timeout", timeout);
        }
        Ok((new, lost))
    }
}
