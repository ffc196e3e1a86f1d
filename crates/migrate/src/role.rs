//! What each step of a job is for.

use peers::Peer;

use crate::build::{self, TestRun};
use crate::deploy::{self, Objects};
use crate::helm::{self, Release};
use crate::registry::{self, Login};
use crate::shell::{self, Command};
use crate::workflow::{Job, Step};
use crate::{patch, scan};

/// The inputs of a step, or those with the meaning of its commands.
pub(crate) type Inputs = Vec<(String, String)>;

/// What a step is for.
#[derive(Debug)]
pub(crate) enum Role {
    Scan(Inputs),
    UploadSarif,
    Patch(Inputs),
    Build(Inputs),
    TestRun(TestRun),
    Report(&'static Peer),
    Metadata,
    AzureLogin,
    AksContext,
    KubernetesContext,
    KubernetesDeploy,
    Bake,
    Kubectl(Objects),
    Helm(Release),
    Checkout,
    /// Makes logins or the credentials of a cluster, and nothing else.
    Login,
    Credentials,
    /// Makes the Secret that pods pull with.
    PullSecret,
    /// Installs what the new steps have.
    Setup(Tool),
    /// Is known to use no login, no identity and no tool.
    Harmless,
    /// Runs commands, or another action.
    Other,
    /// Does what an action here does, in a way that is not understood.
    Unread(String),
}

/// A tool that a step installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Trivy,
    Buildx,
    Kubectl,
    Helm,
}

/// The roles of the steps of a job, with what several of them know.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    pub(crate) roles: Vec<Role>,
    pub(crate) logins: Vec<Login>,
    /// Of `az aks get-credentials`: step, resource group and name.
    pub(crate) clusters: Vec<(usize, String, String)>,
}

impl Roles {
    pub(crate) fn new(job: &Job) -> Self {
        let mut roles = Self::default();
        for (index, step) in job.steps.iter().enumerate() {
            let role = match &step.run {
                Some(script) => roles.of_script(job, index, step, script),
                None => roles.of_action(index, step),
            };
            roles.roles.push(role);
        }
        roles
    }

    fn of_action(&mut self, index: usize, step: &Step) -> Role {
        match step.action.as_str() {
            "aquasecurity/trivy-action" => Role::Scan(step.with.clone()),
            "aquasecurity/setup-trivy" => Role::Setup(Tool::Trivy),
            "github/codeql-action/upload-sarif" => Role::UploadSarif,
            "project-copacetic/copa-action" => Role::Patch(step.with.clone()),
            "docker/build-push-action" => Role::Build(step.with.clone()),
            "docker/metadata-action" => Role::Metadata,
            "docker/login-action" | "azure/docker-login" => {
                let login = registry::of_action(index, step);
                let is_read = login.is_some();
                self.logins.extend(login);
                if is_read { Role::Login } else { Role::Other }
            }
            "azure/k8s-create-secret" => {
                self.pull_secret(index, step);
                Role::PullSecret
            }
            "docker/setup-buildx-action" => Role::Setup(Tool::Buildx),
            // Other platforms need what it registers.
            "docker/setup-qemu-action" => Role::Harmless,
            "azure/login" => Role::AzureLogin,
            "azure/aks-set-context" => Role::AksContext,
            "azure/k8s-set-context" => Role::KubernetesContext,
            "azure/k8s-deploy" => Role::KubernetesDeploy,
            "azure/k8s-bake" => Role::Bake,
            "azure/setup-kubectl" | "azure/use-kubelogin" => Role::Setup(Tool::Kubectl),
            "azure/setup-helm" => Role::Setup(Tool::Helm),
            "actions/checkout" => Role::Checkout,
            action => match peers::peer(action) {
                Some(peer) => Role::Report(peer),
                None if is_harmless(action) => Role::Harmless,
                None => Role::Other,
            },
        }
    }

    fn of_script(&mut self, job: &Job, index: usize, step: &Step, script: &str) -> Role {
        let Some(subject) = subject(script) else {
            return Role::Other;
        };
        let variable = |name: &str| {
            let own = step.env.iter().find(|(other, _)| other == name);
            let shared = job.env.iter().any(|(other, _)| other == name);
            own.map(|(_, value)| value.clone())
                .or_else(|| shared.then(|| format!("${{{{ env.{name} }}}}")))
                .or_else(|| shell::default_variable(name))
        };
        let commands = match shell::commands(script, &variable) {
            Ok(commands) => commands,
            Err(reason) if subject == Subject::Login => {
                let _ = reason;
                return Role::Other;
            }
            Err(reason) => return Role::Unread(reason),
        };
        let rest = self.take_logins(index, commands);
        if rest.is_empty() {
            let has_login = self.logins.iter().any(|login| login.step == index);
            return if has_login {
                Role::Login
            } else {
                Role::Credentials
            };
        }
        let role =
            read(subject, &rest).and_then(|role| in_directory(role, step.directory.as_deref()));
        match role {
            Ok(role) => role,
            Err(_) if subject == Subject::Login => Role::Other,
            Err(reason) => Role::Unread(reason),
        }
    }

    fn pull_secret(&mut self, index: usize, step: &Step) {
        let user = step
            .input("container-registry-username")
            .zip(step.input("container-registry-password"));
        if let (Some((user, secret)), Some(host)) = (user, step.input("container-registry-url")) {
            let host = host
                .trim_start_matches("https://")
                .trim_end_matches('/')
                .to_owned();
            self.logins.push(Login {
                step: index,
                host,
                user: Some((user.to_owned(), secret.to_owned())),
            });
        }
    }

    fn take_logins(&mut self, index: usize, commands: Vec<Command>) -> Vec<Command> {
        let mut rest = Vec::new();
        for command in commands {
            if let Some(login) = registry::of_command(index, &command) {
                self.logins.push(login);
            } else if let Some((group, name)) = deploy::credentials(&command) {
                self.clusters.push((index, group, name));
            } else {
                rest.push(command);
            }
        }
        rest
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Build,
    TestRun,
    Scan,
    Patch,
    Deploy,
    Helm,
    Login,
}

// What a script is about, by what it runs first of these.
fn subject(script: &str) -> Option<Subject> {
    let words = [
        ("docker build ", Subject::Build),
        ("docker buildx build ", Subject::Build),
        ("docker image build ", Subject::Build),
        ("trivy image ", Subject::Scan),
        ("trivy fs ", Subject::Scan),
        ("trivy filesystem ", Subject::Scan),
        ("trivy config ", Subject::Scan),
        ("trivy rootfs ", Subject::Scan),
        ("trivy repo ", Subject::Scan),
        ("copa patch ", Subject::Patch),
        ("helm upgrade ", Subject::Helm),
        ("helm install ", Subject::Helm),
        ("kubectl apply ", Subject::Deploy),
        ("kubectl set image ", Subject::Deploy),
        ("kubectl rollout ", Subject::Deploy),
        ("docker run ", Subject::TestRun),
        ("docker login ", Subject::Login),
        ("helm registry login ", Subject::Login),
        ("az acr login ", Subject::Login),
        ("az aks get-credentials ", Subject::Login),
    ];
    let script = script.replace(['\t', '\n', '\r', '\\'], " ");
    let is_command = |word: &str| {
        script.match_indices(word).any(|(at, _)| {
            let before = script[..at].trim_end_matches(' ');
            before.is_empty() || script[..at].ends_with(' ')
        })
    };
    words
        .into_iter()
        .find(|(word, _)| is_command(word))
        .map(|(_, subject)| subject)
}

fn read(subject: Subject, commands: &[Command]) -> Result<Role, String> {
    match subject {
        Subject::Build => build::from_commands(commands).map(Role::Build),
        Subject::TestRun => Ok(build::test_run(commands).map_or(Role::Other, Role::TestRun)),
        Subject::Scan => match commands {
            [one] => scan::from_command(one).map(Role::Scan),
            _ => Err("it has several commands; write a step for each".to_owned()),
        },
        Subject::Patch => match commands {
            [one] => patch::from_command(one).map(Role::Patch),
            _ => Err("it has several commands; write a step for each".to_owned()),
        },
        Subject::Deploy => deploy::from_commands(commands).map(Role::Kubectl),
        Subject::Helm => helm::from_commands(commands).map(Role::Helm),
        Subject::Login => Ok(Role::Other),
    }
}

// With paths relative to the workspace, as those of an action are.
fn in_directory(role: Role, directory: Option<&str>) -> Result<Role, String> {
    let Some(directory) = directory.map(|text| text.trim_start_matches("./").trim_end_matches('/'))
    else {
        return Ok(role);
    };
    let joined = |path: &str| match path.trim_start_matches("./") {
        "" | "." => directory.to_owned(),
        path if path.starts_with(['/', '$']) => path.to_owned(),
        path => format!("{directory}/{path}"),
    };
    match role {
        Role::Build(mut inputs) => {
            for (name, value) in &mut inputs {
                if ["context", "file"].contains(&name.as_str()) {
                    *value = joined(value);
                }
            }
            Ok(Role::Build(inputs))
        }
        Role::Kubectl(mut objects) => {
            objects.manifests = objects.manifests.iter().map(|path| joined(path)).collect();
            Ok(Role::Kubectl(objects))
        }
        Role::Helm(mut release) => {
            if !release.is_remote() {
                release.chart = joined(&release.chart);
            }
            release.files = release.files.iter().map(|path| joined(path)).collect();
            Ok(Role::Helm(release))
        }
        Role::Scan(_) | Role::Patch(_) => Err("it has a `working-directory`".to_owned()),
        role => Ok(role),
    }
}

fn is_harmless(action: &str) -> bool {
    let starts = [
        "actions/cache",
        "actions/setup-",
        "actions/upload-artifact",
        "actions/download-artifact",
        "actions/github-script",
        "astral-sh/",
        "step-security/harden-runner",
        "dorny/paths-filter",
        "codecov/",
        "github/codeql-action/",
    ];
    starts.iter().any(|start| action.starts_with(start))
}
