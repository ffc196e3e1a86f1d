//! Builds, and the tests of the image with their reports.

use crate::build::{Build, TestRun, build};
use crate::job::Planner;
use crate::plan::{Fate, NewStep, Weight};
use crate::role::Role;
use crate::workflow::Step;

const BUILD: &str = "docker/build-push-action";

impl Planner<'_> {
    pub(super) fn builds(&mut self) {
        let Some(peer) = peers::peer(BUILD) else {
            return;
        };
        for index in 0..self.job.steps.len() {
            let Role::Build(inputs) = &self.roles.roles[index] else {
                continue;
            };
            let inputs = inputs.clone();
            let metadata: Vec<&Step> = (0..index)
                .filter(|at| matches!(self.roles.roles[*at], Role::Metadata))
                .map(|at| &self.job.steps[at])
                .collect();
            let mut build = match build(peer, &inputs, &metadata) {
                Ok(build) => build,
                Err(reason) => {
                    self.note(index, Weight::Not, reason);
                    continue;
                }
            };
            if self.job.steps[index].run.is_some() {
                build.new.resolve(&inputs);
            }
            self.secrets_of_step(index, &mut build.new);
            let has_checkout = self.roles.roles[..index]
                .iter()
                .any(|role| matches!(role, Role::Checkout));
            build.new.needs_checkout &= !has_checkout;
            if build.new.needs_checkout {
                self.plan.permit("contents", "read");
            }
            Self::quiet(&mut build.new);
            self.tests(index, &mut build);
            self.registries(&mut build);
            self.images_here.extend(build.names.clone());
            self.lose(index, build.lost);
            self.become_new(index, peer, build.new);
        }
        self.other_reports();
    }

    // A secret of the step's own `env`, which its inputs can't see as a variable of the job.
    fn secrets_of_step(&self, index: usize, new: &mut NewStep) {
        for input in &mut new.inputs {
            for (name, value) in &self.job.steps[index].env {
                if let Some(text) = &mut input.value {
                    *text = text.replace(&format!("${{{{ env.{name} }}}}"), value);
                }
            }
        }
    }

    // What the old step did not do is off.
    fn quiet(new: &mut NewStep) {
        new.set("test-target", "none");
        new.set("health-path", "none");
        new.set("static-analysis", "none");
        new.set("comment", "false");
        new.set("upload", "false");
    }

    // Tests that the built image runs, and the steps that read their report.
    fn tests(&mut self, index: usize, build: &mut Build) {
        let run = (index + 1..self.job.steps.len()).find_map(|at| match &self.roles.roles[at] {
            Role::TestRun(run) if build.names.contains(&run.image) => Some((at, run)),
            _ => None,
        });
        let Some((at, run)) = run else { return };
        let reports: Vec<_> = (at + 1..self.job.steps.len())
            .filter(|at| matches!(self.roles.roles[*at], Role::Report(_)))
            .collect();
        // Without a report it may be no test: it stays, with the image in Docker.
        let Some(report) = reports.first().copied() else {
            return;
        };
        let Some(path) = self.report_in_container(report, run) else {
            return;
        };
        let (command, variables) = (run.command.clone(), run.variables.clone());
        build
            .new
            .inputs
            .retain(|input| !["test-target", "comment"].contains(&input.name.as_str()));
        build.new.set("test-command", command);
        build.new.set("junit-path", path);
        if !variables.is_empty() {
            build.new.set("test-env", crate::value::joined(&variables));
        }
        let comments = self.job.steps[report].input("comment_mode") != Some("off")
            && self.job.steps[report].action.starts_with("enricomi/");
        let comments = comments
            || self.job.steps[report]
                .input("comment")
                .is_some_and(crate::value::is_true);
        if comments {
            self.plan.permit("pull-requests", "write");
        } else {
            build.new.set("comment", "false");
        }
        build.new.set("test-network", "internet");
        self.plan.fates[at] = Fate::Remove;
        self.plan.moved += 1;
        self.take_report(report);
    }

    fn take_report(&mut self, report: usize) {
        let Role::Report(peer) = self.roles.roles[report] else {
            return;
        };
        let mut lost = Vec::new();
        crate::plan::by_table(
            peer,
            &self.job.steps[report].with,
            &mut NewStep::default(),
            &mut lost,
        );
        self.lose(report, lost);
        if self.is_referenced(report) {
            self.note(
                report,
                Weight::Loss,
                "its outputs are those of `ci` now: `tests`, `failures`, `skipped`",
            );
        }
        self.plan.fates[report] = Fate::Remove;
        self.plan.moved += 1;
    }

    // The path of the report where the tests write it, by the directories that both see.
    fn report_in_container(&self, report: usize, run: &TestRun) -> Option<String> {
        let step = &self.job.steps[report];
        let files = ["files", "junit_files", "path", "report_paths"]
            .iter()
            .find_map(|name| step.input(name))?;
        let plain = |path: &str| {
            let path = ["${{ github.workspace }}", "$PWD", "${PWD}", "./"]
                .iter()
                .find_map(|start| path.strip_prefix(start))
                .unwrap_or(path);
            path.trim_matches('/').to_owned()
        };
        let file = plain(files.lines().next()?);
        run.mounts.iter().find_map(|(from, to)| {
            let from = plain(from);
            let inside = if from.is_empty() {
                Some(file.as_str())
            } else {
                file.strip_prefix(&format!("{from}/"))
            }?;
            Some(format!("{}/{inside}", to.trim_end_matches('/')))
        })
    }

    fn registries(&mut self, build: &mut Build) {
        let logins = self
            .roles
            .logins
            .iter()
            .filter(|login| !matches!(self.roles.roles[login.step], Role::PullSecret));
        let logins: Vec<_> = logins.cloned().collect();
        let mut lines: Vec<String> = Vec::new();
        for login in &logins {
            let target = self.target();
            let secret = target.client_id.clone().zip(target.client_secret.clone());
            let line = match (&login.user, secret) {
                // A registry of Azure takes the application and its secret as a login.
                (None, Some((client, secret))) => format!("{} {client} {secret}", login.host),
                _ => login.line(),
            };
            if lines
                .iter()
                .any(|other| other.split(' ').next() == Some(&login.host))
            {
                continue;
            }
            lines.push(line);
            self.plan.replaced.insert(login.step);
            if login.is_own_token() {
                self.plan
                    .permit("packages", if build.pushes { "write" } else { "read" });
            }
            if login.user.is_none() && target.client_secret.is_none() {
                if let (Some(client), Some(tenant)) = (&target.client_id, &target.tenant_id) {
                    build.new.set("client-id", client.clone());
                    build.new.set("tenant-id", tenant.clone());
                    self.plan.permit("id-token", "write");
                    let roles = self.roles.roles.iter().enumerate();
                    let sign_ins = roles.filter(|(_, role)| matches!(role, Role::AzureLogin));
                    self.plan.replaced.extend(sign_ins.map(|(at, _)| at));
                } else {
                    build.lost.push(format!("the login of `az acr login`: write a user and a secret into the line `{}` of `registries`, or sign in with OIDC", login.host));
                }
            }
        }
        if lines.is_empty() {
            if build.pushes {
                build.lost.push(
                    "the job shows no login to the registry: add a line to `registries`".to_owned(),
                );
            }
            return;
        }
        build.new.set("registries", crate::value::joined(&lines));
    }

    fn other_reports(&mut self) {
        for index in 0..self.job.steps.len() {
            if matches!(self.roles.roles[index], Role::Report(_))
                && self.plan.fates[index] == Fate::Stay
            {
                self.note(
                    index,
                    Weight::Note,
                    "stays: the tests that it reports do not run in an image that the job builds",
                );
            }
        }
    }
}
