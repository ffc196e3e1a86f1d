//! The settings file of Trivy that `trivy-config` names. Trivy gets a copy with the settings that change what is found; the
//! others are inputs of the step, or would take the report away from it.
//!
//! Keys: trivy.dev/docs/latest/references/configuration/config-file.

use std::path::PathBuf;

use actions_toolkit::{BadInput, Context, PrivateDirectory, Workspace, WorkspacePath};
use anyhow::Context as _;
use serde_json::{Map, Value};
use trivy::ServerInputs;

use super::{FILE_LIMIT, Inputs};

/// Settings that are used: these keys, and all below them.
const USED: [&str; 20] = [
    "ansible",
    "image.image-config-scanners",
    "image.max-size",
    "image.removed-pkgs",
    "license",
    "misconfiguration",
    "pkg",
    "rego.check",
    "rego.data",
    "rego.error-limit",
    "rego.include-deprecated-checks",
    "rego.namespaces",
    "scan.detection-priority",
    "scan.distro",
    "scan.file-patterns",
    "scan.parallel",
    SKIP_DIRS,
    SKIP_FILES,
    SECRET_RULES,
    "vulnerability",
];
const SKIP_DIRS: &str = "scan.skip-dirs";
const SKIP_FILES: &str = "scan.skip-files";
const SECRET_RULES: &str = "secret.config";

/// Settings that name files: Trivy runs as root, and shows parts of what it can't parse.
const FILES: [&str; 11] = [
    "ansible.playbooks",
    "ansible.inventories",
    EXTRA_VARS,
    "misconfiguration.cloudformation.params",
    "misconfiguration.config-file-schemas",
    SET_FILE,
    "misconfiguration.helm.values",
    "misconfiguration.terraform.vars",
    "rego.check",
    "rego.data",
    SECRET_RULES,
];
const EXTRA_VARS: &str = "ansible.extra-vars";
const SET_FILE: &str = "misconfiguration.helm.set-file";

/// Settings that are inputs of the step.
const INPUTS: [(&str, &str); 17] = [
    ("cache.dir", "cache-directory"),
    ("db.java-repository", "java-db-repositories"),
    ("db.repository", "db-repositories"),
    ("exit-code", Inputs::fail_on),
    ("ignore-policy", Inputs::ignore_policy),
    ("ignorefile", Inputs::ignore_file),
    ("image.input", Inputs::path),
    ("image.platform", Inputs::platform),
    ("image.source", Inputs::image_sources),
    ("scan.offline", "offline"),
    ("scan.scanners", Inputs::scanners),
    ("server.addr", ServerInputs::trivy_server),
    ("server.token", ServerInputs::trivy_server_token),
    ("severity", Inputs::severity),
    ("timeout", Inputs::timeout),
    ("vulnerability.ignore-unfixed", Inputs::ignore_unfixed),
    ("vulnerability.vex", Inputs::vex),
];

/// Settings of Trivy that are not inputs of the step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TrivyConfig {
    name: String,
    /// The file that Trivy gets, in JSON, which is YAML.
    content: String,
    /// Globs that are in addition to those of the inputs: an option of Trivy replaces the setting.
    pub(super) skip_dirs: Vec<String>,
    pub(super) skip_files: Vec<String>,
    /// Whether it names a file with rules for secrets.
    pub(crate) has_secret_rules: bool,
    /// The settings of [`FILES`], with their values.
    files: Vec<(String, String)>,
    used: Vec<String>,
    unused: Vec<String>,
}

impl TrivyConfig {
    pub(super) fn open(file: &WorkspacePath, workspace: &Workspace) -> Result<Self, BadInput> {
        let text = file.read(FILE_LIMIT)?;
        let name = file.given();
        let config = Self::parse(name, &text).map_err(|problem| bad(name, &problem))?;
        config.check_files(workspace)?;
        Ok(config)
    }

    // What it names must be in the workspace, as what an input names.
    fn check_files(&self, workspace: &Workspace) -> Result<(), BadInput> {
        for (key, value) in &self.files {
            // Trivy takes some lists apart at commas, and a text that should be a list at blanks.
            let parts = value.split(|c: char| c == ',' || c.is_whitespace());
            let files = parts
                .chain([value.as_str()])
                .filter_map(|part| file_of(key, part))
                .filter(|file| !file.is_empty());
            for file in files {
                let path = workspace
                    .path(Inputs::trivy_config, file)
                    .map_err(|problem| bad(&self.name, &format!("{key}: {problem}")))?;
                if path.absolute().symlink_metadata().is_ok() {
                    path.existing()?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let Value::Object(settings) = serde_saphyr::from_str(text).map_err(|e| e.to_string())?
        else {
            return Err("is not a mapping of settings".to_owned());
        };
        let mut config = Self {
            name: name.to_owned(),
            content: String::new(),
            skip_dirs: Vec::new(),
            skip_files: Vec::new(),
            has_secret_rules: false,
            files: Vec::new(),
            used: Vec::new(),
            unused: Vec::new(),
        };
        let kept = config.keep("", settings)?;
        config.content = Value::Object(kept).to_string();
        Ok(config)
    }

    // The settings below `parent` that are used.
    fn keep(
        &mut self,
        parent: &str,
        settings: Map<String, Value>,
    ) -> Result<Map<String, Value>, String> {
        let mut kept = Map::new();
        for (name, value) in settings {
            let key = match parent {
                "" => name.clone(),
                parent => format!("{parent}.{name}"),
            };
            let value = match value {
                Value::Null => continue,
                Value::Object(below) => Value::Object(self.keep(&key, below)?),
                value if !is_used(&key) => {
                    drop(value);
                    self.unused.push(key);
                    continue;
                }
                value => {
                    match key.as_str() {
                        SKIP_DIRS => self.skip_dirs = strings(&key, &value)?,
                        SKIP_FILES => self.skip_files = strings(&key, &value)?,
                        SECRET_RULES => self.has_secret_rules = true,
                        _ => {}
                    }
                    if FILES.contains(&key.as_str()) {
                        let texts = texts(&value).into_iter();
                        self.files
                            .extend(texts.map(|text| (key.clone(), text.to_owned())));
                    }
                    self.used.push(key);
                    value
                }
            };
            kept.insert(name, value);
        }
        Ok(kept)
    }

    /// Write the file that Trivy gets, and return its path. It is removed with the directory.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn write(&self, ctx: &Context) -> anyhow::Result<(PrivateDirectory, PathBuf)> {
        let directory = ctx.private_directory("trivy")?;
        let path = directory.path().join("trivy.yaml");
        std::fs::write(&path, &self.content)
            .with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok((directory, path))
    }

    /// What Trivy gets.
    pub(crate) fn content(&self) -> &str {
        &self.content
    }

    /// Whether it is the file `name` of the workspace, or names it.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.trim_start_matches("./") == name
    }

    /// What it sets, and what of it is not used.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.used.is_empty() {
            let used = self.used.join(", ");
            remarks.push(format!("`{}` changes the scan: it sets {used}", self.name));
        }
        remarks.extend(self.unused.iter().map(|key| {
            let input = INPUTS.iter().find(|(setting, _)| setting == key);
            let instead = input.map_or_else(
                || "the step sets it, or has no use for it".to_owned(),
                |(_, input)| format!("use the input `{input}`"),
            );
            format!("`{}`: {key} is not used; {instead}", self.name)
        }));
        remarks
    }
}

fn is_used(key: &str) -> bool {
    let covers = |setting: &&str| {
        key.strip_prefix(setting)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    USED.iter().any(covers) && !INPUTS.iter().any(|(setting, _)| *setting == key)
}

fn bad(name: &str, problem: &str) -> BadInput {
    BadInput::new(Inputs::trivy_config, format!("`{name}`: {problem}"))
}

// The file that a part of the value of `key` names, if it names one.
fn file_of<'a>(key: &str, part: &'a str) -> Option<&'a str> {
    match key {
        EXTRA_VARS => part.strip_prefix('@'),
        SET_FILE => part.split_once('=').map(|(_, file)| file),
        _ => Some(part),
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

fn strings(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let list = match value {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    let strings = list.into_iter().map(Value::as_str);
    let strings: Option<Vec<_>> = strings.map(|text| text.map(ToOwned::to_owned)).collect();
    strings.ok_or_else(|| format!("{key} is not a list of texts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_settings_file_sets_is_named_and_what_the_step_sets_is_not_used() {
        let text = "pkg:\n  types: [os]\nscan:\n  skip-dirs: [a, '**/b']\n  skip-files: c\nsecret:\n  config: rules.yaml\nseverity: [HIGH]\noutput: /tmp/x\nserver:\n  addr: http://example.com\n  token:\nvulnerability:\n  ignore-unfixed: true\n  ignore-status: [affected]\n";
        let config = TrivyConfig::parse("trivy.yaml", text).unwrap();
        assert_eq!(
            (config.skip_dirs.join(" "), config.skip_files.join(" ")),
            ("a **/b".to_owned(), "c".to_owned())
        );
        assert!(config.has_secret_rules);
        insta::assert_snapshot!(config.content, @r#"{"pkg":{"types":["os"]},"scan":{"skip-dirs":["a","**/b"],"skip-files":"c"},"secret":{"config":"rules.yaml"},"server":{},"vulnerability":{"ignore-status":["affected"]}}"#);
        insta::assert_snapshot!(config.remarks().join("\n"), @"
        `trivy.yaml` changes the scan: it sets pkg.types, scan.skip-dirs, scan.skip-files, secret.config, vulnerability.ignore-status
        `trivy.yaml`: output is not used; the step sets it, or has no use for it
        `trivy.yaml`: server.addr is not used; use the input `trivy-server`
        `trivy.yaml`: severity is not used; use the input `severity`
        `trivy.yaml`: vulnerability.ignore-unfixed is not used; use the input `ignore-unfixed`
        ");
    }

    #[test]
    fn a_file_that_it_names_must_be_in_the_workspace() {
        let directory = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(directory.path());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/proc/self/environ", link).unwrap();
        std::fs::write(directory.path().join("a b.yaml"), "").unwrap();
        let check = |text: &str| {
            let config = TrivyConfig::parse("trivy.yaml", text).unwrap();
            let checked = config.check_files(&workspace);
            checked.map_err(|problem| problem.to_string())
        };
        for text in [
            "secret: {config: rules.yaml}",
            "misconfiguration: {helm: {values: ['a b.yaml'], set-file: [k=a], set: [k=/a]}}",
            "ansible: {extra-vars: [path=/etc, '@vars.yaml'], inventories: 'one,two,'}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        let outside = "is outside the workspace";
        for (text, problem) in [
            ("secret: {config: /proc/1/environ}", outside),
            ("secret: {config: link}", "leads out of the workspace"),
            ("rego: {data: [../x]}", "must not contain `..`"),
            ("rego.check: [/etc]", outside),
            ("ansible: {extra-vars: ['@/etc/passwd']}", outside),
            ("ansible: {inventories: 'a,/etc/passwd'}", outside),
            (
                "misconfiguration: {helm: {set-file: [a=/etc/passwd]}}",
                outside,
            ),
            (
                "misconfiguration: {terraform: {vars: 'a.tfvars /etc/x'}}",
                outside,
            ),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_not_a_mapping_is_rejected() {
        for (text, problem) in [
            ("- a", "is not a mapping of settings"),
            (
                "scan:\n  skip-dirs: [1]",
                "scan.skip-dirs is not a list of texts",
            ),
        ] {
            assert_eq!(TrivyConfig::parse("t", text).unwrap_err(), problem);
        }
        assert!(TrivyConfig::parse("t", "a: [").is_err());
    }
}
