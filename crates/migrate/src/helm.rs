//! Steps that run `helm upgrade --install` as steps of `azure-deploy`.

use peers::Rule;

use crate::deploy;
use crate::plan::{NewStep, by_table};
use crate::shell::{Arguments, Command};
use crate::value::{is_dynamic, is_true, joined};
use crate::workflow::input;

/// The table of the command's options.
pub(crate) const UPGRADE: &str = "helm upgrade";
const OCI: &str = "oci://";
/// Options without which other objects would be deployed: a step that has one of them stays.
const DECISIVE: [&str; 12] = [
    "set-file",
    "set-json",
    "set-literal",
    "repo",
    "devel",
    "dependency-update",
    "reuse-values",
    "reset-then-reuse-values",
    "post-renderer",
    "kube-context",
    "kubeconfig",
    "no-hooks",
];
/// Options without a value.
const SWITCHES: [&str; 28] = [
    "install",
    "create-namespace",
    "wait",
    "wait-for-jobs",
    "atomic",
    "rollback-on-failure",
    "cleanup-on-fail",
    "force",
    "force-replace",
    "force-conflicts",
    "take-ownership",
    "server-side",
    "reset-values",
    "reuse-values",
    "reset-then-reuse-values",
    "no-hooks",
    "skip-crds",
    "skip-schema-validation",
    "disable-openapi-validation",
    "dependency-update",
    "devel",
    "verify",
    "insecure-skip-tls-verify",
    "plain-http",
    "hide-notes",
    "render-subchart-notes",
    "debug",
    "dry-run",
];
const SHORT: [(&str, &str); 4] = [
    ("-i", "install"),
    ("-f", "values"),
    ("-n", "namespace"),
    ("-o", "output"),
];

/// A release of a chart, as the commands of a step make it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) name: String,
    /// A path, or a reference with its version.
    pub(crate) chart: String,
    /// Files of values.
    pub(crate) files: Vec<String>,
    /// Single values, as `--set` has them.
    values: Vec<String>,
    /// Every option with its value; `true` for a switch.
    options: Vec<(String, String)>,
    pub(crate) namespace: Option<String>,
    pub(crate) creates_namespace: bool,
    pub(crate) timeout: Option<String>,
    /// Values of `--set-string` that `--set` may read as something else than text.
    typed: Vec<String>,
    /// The chart as the command has it.
    pub(crate) named: String,
}

/// The release of the commands of a step, or what is not understood.
pub(crate) fn from_commands(commands: &[Command]) -> Result<Release, String> {
    let mut release = None;
    let mut others = Vec::new();
    for command in commands {
        let words: Vec<_> = command.iter().map(String::as_str).collect();
        match words[..] {
            _ if words.contains(&"|") && words[0] == "helm" => {
                return Err("it has a pipe".to_owned());
            }
            ["helm", "upgrade" | "install", ..] if release.is_some() => {
                return Err("it has several releases; write a step for each".to_owned());
            }
            ["helm", "upgrade" | "install", ..] => release = Some(Release::parse(&command[2..])?),
            ["helm", "dependency" | "dependencies" | "dep", ..] => {
                return Err(
                    "`helm dependency` fetches charts; run it in an earlier step".to_owned(),
                );
            }
            // They change nothing; a chart that cannot be rendered is rejected before anything changes.
            [
                "helm",
                "repo" | "version" | "list" | "ls" | "status" | "history" | "lint" | "template"
                | "env" | "show",
                ..,
            ] => {}
            ["helm", other, ..] => return Err(format!("`helm {other}` is not known")),
            _ => others.push(command.clone()),
        }
    }
    let mut release: Release = release.ok_or("it has no release")?;
    let objects = deploy::from_commands(&others)?;
    if objects.namespace.is_some() && objects.namespace != release.namespace {
        return Err("its commands are of several namespaces; write a step for each".to_owned());
    }
    if !objects.manifests.is_empty() || !objects.images.is_empty() {
        return Err("it applies manifests too; write a step for each".to_owned());
    }
    release.creates_namespace |= objects.creates_namespace;
    release.timeout = release.timeout.or(objects.timeout);
    Ok(release)
}

impl Release {
    fn parse(words: &[String]) -> Result<Self, String> {
        let mut arguments = Arguments::parse(words, &SWITCHES, &SHORT);
        // As Helm reads them: those of `--set-string` after those of `--set`.
        let options = &mut arguments.options;
        options.sort_by_key(|(name, _)| name == "set-string");
        let peer = peers::peer(UPGRADE).ok_or("unknown")?;
        let mut release = Self::default();
        for (name, value) in &arguments.options {
            let is_switch = SWITCHES.contains(&name.as_str());
            let value = if is_switch && value.is_empty() {
                "true".to_owned()
            } else {
                value.clone()
            };
            if is_switch && is_dynamic(&value) {
                return Err(format!(
                    "`--{name}={value}` is known only in the run: write a step with it, and one without it, each with its `if`"
                ));
            }
            let mapping = peer
                .input(name)
                .ok_or_else(|| format!("`helm upgrade --{name}` is not known"))?;
            let is_lost = mapping.rule == Rule::Lost && !mapping.is_harmless(&value);
            if is_lost && DECISIVE.contains(&name.as_str()) {
                return Err(format!("`--{name}`: {}", mapping.note));
            }
            release.add(name, &value)?;
            release.options.push((name.clone(), value));
        }
        let [name, chart] = &arguments.operands[..] else {
            return Err("it does not name one release and one chart".to_owned());
        };
        release.name.clone_from(name);
        release.named.clone_from(chart);
        release.chart = with_version(chart, arguments.option("version"))?;
        release.chart = match release.chart.trim_start_matches("./").trim_end_matches('/') {
            "" => ".".to_owned(),
            path => path.to_owned(),
        };
        Ok(release)
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "values" => {
                for file in value.split(',') {
                    if file == "-" || file.contains("://") {
                        return Err(format!(
                            "`--values {file}` is not a file of the workspace; write it in an earlier step"
                        ));
                    }
                    self.files.push(file.trim_start_matches("./").to_owned());
                }
            }
            "set" => self.values.push(value.to_owned()),
            "set-string" => {
                let typed = value.split(',').filter(|part| {
                    let own = part.split_once('=').map_or(*part, |(_, own)| own);
                    may_be_typed(own.trim_matches(['{', '}']))
                });
                // What is in a list, `{a,b}`, has no name.
                let typed = typed.map(|part| if part.contains('=') { part } else { value });
                self.typed.extend(typed.map(ToOwned::to_owned));
                self.values.push(value.to_owned());
            }
            "namespace" => self.namespace = Some(value.to_owned()),
            "create-namespace" => self.creates_namespace = is_true(value),
            "timeout" => self.timeout = Some(value.to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// The first part of the chart, which may be the name of a repository.
    pub(crate) fn alias(&self) -> Option<&str> {
        let (alias, _) = self.named.split_once('/')?;
        (!alias.is_empty() && !alias.starts_with('.') && !self.is_remote()).then_some(alias)
    }

    /// The paths of the chart and of the files of values; a chart in a registry has none.
    pub(crate) fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let chart = (!self.is_remote()).then_some(&mut self.chart);
        chart.into_iter().chain(&mut self.files)
    }

    /// Whether the chart is in a registry.
    pub(crate) fn is_remote(&self) -> bool {
        self.chart.starts_with(OCI)
    }

    /// The host of the registry that the chart is in.
    pub(crate) fn host(&self) -> Option<&str> {
        self.chart.strip_prefix(OCI)?.split('/').next()
    }

    /// The images that single values name: `image=REPOSITORY:TAG`, or `image.repository` and `image.tag`.
    pub(crate) fn images(&self) -> Vec<String> {
        let values = self.values.iter().flat_map(|line| pairs(line));
        let values: Vec<(&str, &str)> = values.collect();
        let value = |name: &str| {
            let mut all = values.iter().rev();
            all.find(|(other, _)| *other == name)
                .map(|(_, value)| *value)
        };
        let mut images = Vec::new();
        for (name, own) in &values {
            let image = if let Some(start) = name.strip_suffix("repository") {
                let Some(tag) = value(&format!("{start}tag")) else {
                    continue;
                };
                match value(&format!("{start}registry")) {
                    Some(host) => format!("{host}/{own}:{tag}"),
                    None => format!("{own}:{tag}"),
                }
            } else if name.rsplit('.').next() == Some("image") && own.contains(':') {
                (*own).to_owned()
            } else {
                continue;
            };
            if !images.contains(&image) {
                images.push(image);
            }
        }
        images
    }

    /// Set the inputs of the chart and of its release; the result is what is lost.
    pub(crate) fn set(&self, new: &mut NewStep) -> Vec<String> {
        let mut lost = Vec::new();
        let Some(peer) = peers::peer(UPGRADE) else {
            return lost;
        };
        // The inputs are set as the commands together have them.
        by_table(peer, &self.options, &mut NewStep::default(), &mut lost);
        new.set("manifests", self.chart.clone());
        new.set("release", self.name.clone());
        let values = [&self.files[..], &self.values[..]].concat();
        if !values.is_empty() {
            new.set("chart-values", joined(&values));
        }
        if let Some(namespace) = &self.namespace {
            new.set("namespace", namespace.clone());
        }
        if self.creates_namespace {
            new.set("create-namespace", "true");
        }
        if let Some(timeout) = &self.timeout {
            new.set("rollout-timeout", timeout.clone());
        }
        let dry_run = input(&self.options, "dry-run");
        if dry_run.is_some_and(|how| !matches!(how, "false" | "none")) {
            new.set("dry-run", "true");
        }
        let note = peer.input("set-string").map_or("", |mapping| mapping.note);
        let typed = self.typed.iter();
        lost.extend(typed.map(|pair| format!("`--set-string {pair}`: {note}")));
        lost
    }
}

// A reference of a registry with the version; what is in the workspace has its own.
fn with_version(chart: &str, version: Option<&str>) -> Result<String, String> {
    if chart.starts_with("http://") || chart.starts_with("https://") {
        return Err(format!(
            "the chart `{chart}` is downloaded: run `helm pull` in an earlier step, and name the file"
        ));
    }
    let Some(reference) = chart.strip_prefix(OCI) else {
        return Ok(chart.to_owned());
    };
    // The port of a registry is before the path.
    let path = reference.split_once('/').map_or("", |(_, path)| path);
    let known = path.split("${{").next().unwrap_or_default();
    match version {
        _ if known.contains([':', '@']) => Ok(chart.to_owned()),
        None => Err(format!(
            "`{chart}` is the newest version, which may be another one each time: add `--version`"
        )),
        Some(version) if is_range(version) => Err(format!(
            "`--version {version}` is a range, which may be another version each time: name one"
        )),
        Some(version) => Ok(format!("{chart}:{version}")),
    }
}

// Of several versions (github.com/Masterminds/semver, "Checking Version Constraints").
fn is_range(version: &str) -> bool {
    let of_range = |c: char| "^~<>=*,| ".contains(c);
    !is_dynamic(version) && (version.contains(of_range) || version.split('.').count() < 3)
}

// Whether `--set` reads it as a number, a truth value or nothing (helm.sh/helm, pkg/strvals, `typedVal`).
fn may_be_typed(value: &str) -> bool {
    let words = ["true", "false", "null", "0"];
    let is_word = words.iter().any(|word| value.eq_ignore_ascii_case(word));
    let is_number = !value.starts_with('0') && value.parse::<i64>().is_ok();
    is_word || is_number || value.contains("github.run_")
}

// The names and values of a line of `--set`, which commas separate. What is in a list, `{a,b}`, has no name.
fn pairs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split(',').filter_map(|pair| pair.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(commands: &[&str]) -> Result<Release, String> {
        let words = |command: &&str| -> Command {
            let words = command.split(' ').map(ToOwned::to_owned);
            words.collect()
        };
        let commands: Vec<Command> = commands.iter().map(words).collect();
        from_commands(&commands)
    }

    #[test]
    fn the_images_of_single_values_have_their_tags() {
        let table = [
            ("image.repository=a/b,image.tag=1", &["a/b:1"][..]),
            (
                "image.registry=x.io,image.repository=b,image.tag=1",
                &["x.io/b:1"],
            ),
            ("web.image=a/b:1,replicas=2", &["a/b:1"]),
            ("image.tag=1", &[]),
            (
                "repository=a,tag=1,api.image.repository=b,api.image.tag=2",
                &["a:1", "b:2"],
            ),
        ];
        for (set, expected) in table {
            let release = release(&[&format!("helm upgrade app chart --set {set}")]);
            assert_eq!(release.unwrap().images(), expected, "{set}");
        }
    }

    #[test]
    fn what_is_text_only_by_its_option_is_named() {
        let table = [
            ("a=True,b=NULL,c=7", &["a=True", "b=NULL", "c=7"][..]),
            ("a=b,c=1.0,d=01", &[]),
            ("a={x,1}", &["a={x,1}"]),
            ("a=${{github.run_id}}", &["a=${{github.run_id}}"]),
        ];
        for (set, expected) in table {
            let release = release(&[&format!("helm upgrade app chart --set-string {set}")]);
            assert_eq!(release.unwrap().typed, expected, "{set}");
        }
    }

    #[test]
    fn values_that_are_text_count_more() {
        let command = "helm upgrade app chart --set-string a=x --set a=y --set b=z";
        let release = release(&[command]).unwrap();
        assert_eq!(release.values, ["a=y", "b=z", "a=x"]);
    }

    #[test]
    fn a_reference_has_one_version() {
        let table = [
            ("oci://x.io/c --version 1.2.3", Ok("oci://x.io/c:1.2.3")),
            ("oci://x.io:5000/c:1.2.3", Ok("oci://x.io:5000/c:1.2.3")),
            ("./chart/ --version 1.2.3", Ok("chart")),
            (
                "oci://x.io:5000/c",
                Err(
                    "`oci://x.io:5000/c` is the newest version, which may be another one each time: add `--version`",
                ),
            ),
            (
                "oci://x.io/c --version ^1.2.3",
                Err(
                    "`--version ^1.2.3` is a range, which may be another version each time: name one",
                ),
            ),
        ];
        for (text, expected) in table {
            let release = release(&[&format!("helm upgrade app {text}")]);
            let chart = release.map(|release| release.chart);
            let chart = chart.as_deref().map_err(String::as_str);
            assert_eq!(chart, expected, "{text}");
        }
    }

    #[test]
    fn what_would_deploy_other_objects_is_named() {
        let table = [
            (
                &["helm upgrade app chart --reuse-values"][..],
                "`--reuse-values`: values of the last deployment are not stored: name all of them in `chart-values`",
            ),
            (
                &["helm upgrade app chart --set-file a=b"],
                "`--set-file`: write the value into a file of values",
            ),
            (
                &["helm upgrade app chart --unknown x"],
                "`helm upgrade --unknown` is not known",
            ),
            (
                &["helm dependency build chart", "helm upgrade app chart"],
                "`helm dependency` fetches charts; run it in an earlier step",
            ),
            (
                &["helm upgrade a chart", "helm upgrade b chart"],
                "it has several releases; write a step for each",
            ),
            (
                &["helm upgrade app chart --dry-run=${{inputs.dry}}"],
                "`--dry-run=${{inputs.dry}}` is known only in the run: write a step with it, and one without it, each with its `if`",
            ),
            (
                &["kubectl create namespace a", "helm upgrade app chart -n b"],
                "its commands are of several namespaces; write a step for each",
            ),
            (
                &["kubectl apply -f k8s", "helm upgrade a chart"],
                "it applies manifests too; write a step for each",
            ),
        ];
        for (commands, expected) in table {
            assert_eq!(release(commands).unwrap_err(), expected, "{commands:?}");
        }
    }

    #[test]
    fn every_option_that_is_read_is_in_the_table() {
        let peer = peers::peer(UPGRADE).unwrap();
        let short = SHORT.iter().map(|(_, long)| *long);
        for name in SWITCHES.iter().copied().chain(DECISIVE).chain(short) {
            assert!(peer.input(name).is_some(), "{name}");
        }
        for name in DECISIVE {
            let rule = peer.input(name).map(|mapping| mapping.rule);
            assert_eq!(rule, Some(Rule::Lost), "{name}");
        }
    }
}
