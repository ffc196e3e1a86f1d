//! The input `compose-file`: services, and how the application runs, as the project's own compose file has them
//! (docs.docker.com/reference/compose-file).
//!
//! It is a file of the checkout. What it declares runs in containers of the step, with nothing of the host: files of the workspace
//! are copied, and what has no counterpart here is named in the log.

mod extends;
mod mounts;
mod project;
mod service;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use actions_toolkit::{BadInput, Context, WorkspacePath};

use super::Service;
use super::path::DockerfilePath;
use crate::action::Inputs;

use project::{Declared, Project};
use service::Dependency;

/// Services of one file.
const COUNT: usize = 100;

/// What the compose file has for the step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Compose {
    /// To start; each one after those that it depends on.
    pub(crate) services: Vec<Service>,
    /// The service that the step builds: how it runs, and what it needs.
    pub(crate) application: Option<Service>,
}

impl Compose {
    /// Read `compose-file`, and log what it contributes.
    pub(super) fn read(ctx: &Context, inputs: &Inputs) -> Result<Self, BadInput> {
        let Some(file) = &inputs.compose_file else {
            let set = [
                (Inputs::compose_service, inputs.compose_service.is_some()),
                (Inputs::compose_env, !inputs.compose_env.is_empty()),
            ];
            return match set.into_iter().find(|(_, is_set)| *is_set) {
                Some((input, _)) => Err(BadInput::new(input, "is set without `compose-file`")),
                None => Ok(Self::default()),
            };
        };
        let built = Built {
            context: inputs.context.absolute(),
            dockerfile: DockerfilePath::of(inputs)?.in_context,
            target: inputs.target.clone(),
        };
        let mut notes = Notes::default();
        let bad = |problem| BadInput::new(Inputs::compose_file, problem);
        let project = Project::read(ctx, file, &inputs.compose_env, &mut notes)?;
        let service = inputs.compose_service.as_deref();
        let compose = plan(&project, &built, service, &mut notes).map_err(bad)?;
        notes.log(ctx, file);
        Ok(compose)
    }
}

/// What the step builds.
#[derive(Debug)]
struct Built {
    context: PathBuf,
    dockerfile: String,
    target: Option<String>,
}

/// What is logged of a file.
#[derive(Debug, Default)]
struct Notes {
    infos: Vec<String>,
    warnings: Vec<String>,
    unset: BTreeSet<String>,
}

impl Notes {
    fn info(&mut self, note: impl Into<String>) {
        self.infos.push(note.into());
    }

    fn warning(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.warnings.contains(&note) {
            self.warnings.push(note);
        }
    }

    fn log(&self, ctx: &Context, file: &WorkspacePath) {
        let file = file.given();
        for note in &self.infos {
            ctx.log().info(format!("{file}: {note}"));
        }
        for warning in &self.warnings {
            ctx.log().warning(format!("{file}: {warning}"));
        }
        if !self.unset.is_empty() {
            let unset: Vec<_> = self.unset.iter().map(String::as_str).collect();
            ctx.log().warning(format!(
                "{file}: variables without a value are empty: {}; set them in `compose-env`",
                names(&unset)
            ));
        }
    }
}

// `a`, `b` and so on, in backticks.
fn names<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<_> = names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    names.join(", ")
}

fn plan(
    project: &Project,
    built: &Built,
    service: Option<&str>,
    notes: &mut Notes,
) -> Result<Compose, String> {
    let application = application(project, built, service)?;
    let mut wanted = Vec::new();
    let mut path = Vec::new();
    let mut roots: Vec<&str> = Vec::new();
    if let Some(application) = application {
        notes.info(format!(
            "the application is the service `{}`",
            application.name
        ));
        roots.push(&application.name);
        if application.dependencies().is_empty() {
            // Where no order is declared, all start, as with `docker compose up`.
            roots.extend(project.independent_of(&application.name));
        }
    } else {
        notes.info(format!(
            "no service is built from `{}` in the context of the step, so only the services with an image are used",
            built.dockerfile
        ));
        roots.extend(project.independent_of(""));
    }
    for root in roots {
        project.visit(root, &mut path, &mut wanted, notes)?;
    }
    let own = application.map(|application| application.name.as_str());
    let idle: Vec<_> = project
        .services
        .keys()
        .filter(|name| !wanted.contains(&name.as_str()) && own != Some(name.as_str()))
        .collect();
    if !idle.is_empty() {
        notes.info(format!("not started: {}", names(&idle)));
    }
    let mut services = Vec::new();
    for name in wanted.iter().filter(|name| own != Some(**name)) {
        let declared = &project.services[*name];
        services.push(declared.in_notes(notes, |notes| declared.service(project, notes))?);
    }
    let application = application
        .map(|declared| declared.in_notes(notes, |notes| declared.application(project, notes)))
        .transpose()?;
    alias(&mut services, project, application.as_ref());
    // What was left out is not waited for.
    let started: BTreeSet<_> = services
        .iter()
        .map(|service| service.name.clone())
        .collect();
    for service in &mut services {
        service.after.retain(|(name, _)| started.contains(name));
    }
    if !services.is_empty() {
        let all: Vec<_> = services.iter().map(|service| &service.name).collect();
        notes.info(format!("services to start: {}", names(&all)));
    }
    Ok(Compose {
        services,
        application,
    })
}

// `links` may give a service another name.
fn alias(services: &mut [Service], project: &Project, application: Option<&Service>) {
    let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let users = services.iter().map(|service| service.name.as_str());
    for user in users.chain(application.map(|service| service.name.as_str())) {
        for (service, alias) in project.services[user].links() {
            links.entry(service).or_default().push(alias);
        }
    }
    for service in services {
        service
            .aliases
            .extend(links.remove(&service.name).unwrap_or_default());
        service.aliases.retain(|alias| *alias != service.name);
        service.aliases.sort();
        service.aliases.dedup();
    }
}

// The service that is built as the step builds.
fn application<'a>(
    project: &'a Project,
    built: &Built,
    service: Option<&str>,
) -> Result<Option<&'a Declared>, String> {
    if let Some(name) = service {
        let service = project.services.get(name);
        return service.map(Some).ok_or_else(|| {
            let all: Vec<_> = project.services.keys().collect();
            format!(
                "has no service `{name}` (`compose-service`); its services: {}",
                names(&all)
            )
        });
    }
    let mut candidates = Vec::new();
    for service in project.services.values() {
        let Some(from) = service.build(project)? else {
            continue;
        };
        if from.context == built.context && from.dockerfile == built.dockerfile {
            candidates.push((service, from));
        }
    }
    // Several services may share an image: a worker has another command, and no port.
    for is_better in [
        |(_, from): &(&Declared, service::BuildFrom), built: &Built| from.target == built.target,
        |(service, _): &(&Declared, service::BuildFrom), _: &Built| service.has("ports"),
        |(service, _): &(&Declared, service::BuildFrom), _: &Built| {
            service.has("ports") || service.has("expose")
        },
    ] {
        if candidates.len() > 1 && candidates.iter().any(|one| is_better(one, built)) {
            candidates.retain(|one| is_better(one, built));
        }
    }
    let active = || {
        let all = project.services.values();
        all.filter(|service| project.is_active(service))
    };
    match &candidates[..] {
        [] => match active().find_map(Declared::unresolved) {
            // It may be the one.
            Some(problem) => Err(problem),
            None => Ok(None),
        },
        [(service, _)] => Ok(Some(service)),
        _ => {
            let all: Vec<_> = candidates
                .iter()
                .map(|(service, _)| &service.name)
                .collect();
            Err(format!(
                "builds several services as the step does: {}; set `compose-service`",
                names(&all)
            ))
        }
    }
}

impl Project {
    // Services that start without being needed: with an image, in no profile, and not in need of `application`.
    fn independent_of(&self, application: &str) -> Vec<&str> {
        let mut independent = Vec::new();
        for (name, service) in &self.services {
            if service.has("build") || !self.is_active(service) {
                continue;
            }
            if !self.needs(name, application, &mut BTreeSet::new()) {
                independent.push(name.as_str());
            }
        }
        independent
    }

    fn needs<'a>(&'a self, name: &'a str, other: &str, seen: &mut BTreeSet<&'a str>) -> bool {
        if name == other {
            return true;
        }
        if !seen.insert(name) {
            return false;
        }
        let service = self.services.get(name);
        let needed = service.map(Declared::dependencies).unwrap_or_default();
        needed.iter().any(|needed| {
            let known = self.services.get_key_value(&needed.name);
            known.is_some_and(|(name, _)| self.needs(name, other, seen))
        })
    }

    // What `name` depends on, then itself.
    fn visit<'a>(
        &'a self,
        name: &'a str,
        path: &mut Vec<&'a str>,
        ordered: &mut Vec<&'a str>,
        notes: &mut Notes,
    ) -> Result<(), String> {
        if ordered.contains(&name) {
            return Ok(());
        }
        if path.contains(&name) {
            return Err(format!("the services {} depend on each other", names(path)));
        }
        let service = &self.services[name];
        path.push(name);
        for dependency in service.dependencies() {
            let Dependency {
                name: other,
                is_required,
                ..
            } = dependency;
            match self.services.get_key_value(&other) {
                Some((other, needed)) if is_required || self.is_active(needed) => {
                    self.visit(other, path, ordered, notes)?;
                }
                None if is_required => {
                    return Err(format!("`{name}` depends on `{other}`, which is not a service of the file"));
                }
                _ => notes.info(format!(
                    "`{other}`, which `{name}` does not require, is in no active profile; set `COMPOSE_PROFILES` in `compose-env` to start it"
                )),
            }
        }
        path.pop();
        ordered.push(name);
        Ok(())
    }
}

/// A compose file, and as an environment file.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    let known = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
    let _ = variables::env_file(text, &known, &mut BTreeSet::new());
    let workspace = actions_toolkit::Workspace::new("/nonexistent");
    let Ok(project) = Project::new(workspace, "").with_text(text, known) else {
        return;
    };
    let built = Built {
        context: "/nonexistent/app".into(),
        dockerfile: "Dockerfile".to_owned(),
        target: None,
    };
    let _ = plan(&project, &built, None, &mut Notes::default());
}

#[cfg(test)]
mod tests;
