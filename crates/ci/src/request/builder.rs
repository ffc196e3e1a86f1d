//! What needs a BuildKit of the run: Docker's own has no words for it, or not in every version that runners have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use actions_toolkit::{BadInput, Context, Scope, Value, WorkspacePath};
use oci::{ImageRef, Platform};

use super::cache::{self, CacheLine};
use super::{attributes, path};
use crate::action::Inputs;

/// A build in a BuildKit of the run.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    /// Of BuildKit.
    pub(crate) image: ImageRef,
    /// The inputs that need it.
    pub(crate) reasons: Vec<&'static str>,
    /// `linux/arm64`; empty for the machine's own.
    pub(crate) platforms: Vec<String>,
    pub(crate) cache_from: Vec<CacheLine>,
    pub(crate) cache_to: Vec<CacheLine>,
    pub(crate) directories: BTreeMap<String, PathBuf>,
    pub(crate) sources: BTreeMap<String, String>,
    pub(crate) attestations: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) outputs: Vec<OutputLine>,
}

impl Builder {
    /// `None` if Docker's own BuildKit is enough.
    pub(super) fn new(ctx: &Context, inputs: &Inputs) -> Result<Option<Self>, BadInput> {
        let cache_from = cache::lines(ctx, (Inputs::cache_from, &inputs.cache_from))?;
        let cache_to = cache::lines(ctx, (Inputs::cache_to, &inputs.cache_to))?;
        let mut attestations = BTreeMap::new();
        let named = [
            (Inputs::provenance, &inputs.provenance),
            (Inputs::sbom, &inputs.sbom),
        ];
        for (input, attestation) in named {
            if let Some(parameters) = &attestation.0 {
                attestations.insert(input.to_owned(), parameters.clone());
            }
        }
        let mut contexts: Vec<&NamedContext> = inputs.build_contexts.iter().collect();
        contexts.sort_by_key(|context| &context.name);
        if let Some([one, _]) = contexts.array_windows().find(|[a, b]| a.name == b.name) {
            let problem = format!("`{}` is set twice", one.name);
            return Err(BadInput::new(Inputs::build_contexts, problem));
        }
        let (mut directories, mut sources) = (BTreeMap::new(), BTreeMap::new());
        for context in contexts {
            match &context.source {
                Source::Directory(path) => {
                    directories.insert(context.name.clone(), path.directory()?);
                }
                Source::Elsewhere(source) => {
                    sources.insert(context.name.clone(), source.clone());
                }
            }
        }
        let platforms = inputs
            .platforms
            .0
            .iter()
            .map(|platform| platform.0.to_string());
        let mut seen = BTreeSet::new();
        let platforms: Vec<_> = platforms.filter(|name| seen.insert(name.clone())).collect();
        for output in &inputs.outputs {
            path::file(Inputs::outputs, &output.dest)?;
        }
        let needs = [
            (Inputs::platforms, !platforms.is_empty()),
            (
                Inputs::cache_from,
                !cache_from.iter().all(CacheLine::is_read_by_docker),
            ),
            (
                Inputs::cache_to,
                !cache_to.iter().all(CacheLine::is_written_by_docker),
            ),
            (Inputs::build_contexts, !inputs.build_contexts.is_empty()),
            (Inputs::annotations, !inputs.annotations.is_empty()),
            (Inputs::provenance, inputs.provenance.0.is_some()),
            (Inputs::sbom, inputs.sbom.0.is_some()),
            (Inputs::outputs, !inputs.outputs.is_empty()),
        ];
        let needs = needs.into_iter().filter(|(_, needed)| *needed);
        let reasons: Vec<_> = needs.map(|(input, _)| input).collect();
        if reasons.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            image: inputs.buildkit_image.0.clone(),
            reasons,
            platforms,
            cache_from,
            cache_to,
            directories,
            sources,
            attestations,
            annotations: annotations(&inputs.annotations),
            outputs: inputs.outputs.clone(),
        }))
    }
}

/// A platform, in the form that images have: `linux/arm64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildPlatform(Platform);

impl Value for BuildPlatform {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let lower = text.to_lowercase();
        let parts: Vec<_> = lower.split('/').collect();
        let parts = match parts[..] {
            [architecture] => vec!["linux", architecture],
            _ => parts,
        };
        let invalid = || {
            format!(
                "`{text}` is not a platform such as `linux/amd64`, `linux/arm64` or `linux/arm/v7`"
            )
        };
        let is_word = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        let ["linux", architecture, variant @ ..] = &parts[..] else {
            return Err(invalid());
        };
        if variant.len() > 1 || !parts.iter().all(is_word) {
            return Err(invalid());
        }
        // As github.com/containerd/platforms normalizes them.
        let architecture = match *architecture {
            "aarch64" => "arm64",
            "x86_64" | "x86-64" => "amd64",
            "i386" => "386",
            other => other,
        };
        let variant = match (architecture, variant) {
            (_, []) | ("arm64", ["v8" | "8"]) | ("amd64", ["v1"]) => None,
            (_, [variant, ..]) => Some((*variant).to_owned()),
        };
        Ok(Self(Platform {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant,
        }))
    }
}

/// A line of `build-contexts`.
#[derive(Debug, Clone)]
pub(crate) struct NamedContext {
    name: String,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Directory(WorkspacePath),
    /// An image or a repository, which BuildKit fetches.
    Elsewhere(String),
}

impl Value for NamedContext {
    fn parse(line: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let (name, source) = line
            .split_once('=')
            .map(|(name, source)| (name.trim(), source.trim()))
            .filter(|(name, source)| !name.is_empty() && !source.is_empty())
            .ok_or_else(|| format!("line `{line}` is not of the form `name=source`"))?;
        let elsewhere = ["docker-image://", "https://", "http://", "git://"];
        let source = if elsewhere.iter().any(|scheme| source.starts_with(scheme)) {
            Source::Elsewhere(source.to_owned())
        } else if let Some((scheme, _)) = source.split_once("://") {
            return Err(format!(
                "`{scheme}://` is not supported; use a directory of the workspace, `docker-image://` or `https://`"
            ));
        } else {
            Source::Directory(WorkspacePath::parse(source, scope)?)
        };
        Ok(Self {
            name: name.to_owned(),
            source,
        })
    }
}

/// A line of `annotations`: its place in BuildKit's words, and its key and value.
#[derive(Debug, Clone)]
pub(crate) struct Annotation {
    places: Vec<String>,
    key: String,
    value: String,
}

impl Value for Annotation {
    fn parse(line: &str, _: &Scope<'_>) -> Result<Self, String> {
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| format!("line `{line}` is not of the form `key=value`"))?;
        let (places, key) = match key.split_once(':') {
            Some((places, key)) => (places, key),
            None => ("manifest", key),
        };
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(format!("line `{line}` is not of the form `key=value`"));
        }
        let known = [
            "manifest",
            "index",
            "manifest-descriptor",
            "index-descriptor",
        ];
        let places: Vec<_> = places.split(',').map(str::trim).collect();
        for place in &places {
            let name = place.split('[').next().unwrap_or_default();
            if !known.contains(&name) {
                let known = known.map(|name| format!("`{name}`")).join(", ");
                return Err(format!("`{place}` in `{line}` is not one of {known}"));
            }
        }
        Ok(Self {
            places: places.into_iter().map(ToOwned::to_owned).collect(),
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

// github.com/moby/buildkit, docs/annotations.md.
fn annotations(lines: &[Annotation]) -> BTreeMap<String, String> {
    let each = lines.iter().flat_map(|line| {
        let key = move |place: &String| format!("annotation-{place}.{}", line.key);
        line.places
            .iter()
            .map(move |place| (key(place), line.value.clone()))
    });
    each.collect()
}

/// `provenance` or `sbom`: the parameters of the attestation, or `None`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attestation(pub(crate) Option<String>);

impl Value for Attestation {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        if let Ok(wanted) = bool::parse(text, scope) {
            return Ok(Self(wanted.then(String::new)));
        }
        match attributes::parse(text) {
            Ok(_) => Ok(Self(Some(text.to_owned()))),
            Err(_) => Err(format!(
                "invalid value `{text}`; expected `true`, `false` or parameters such as `mode=max`"
            )),
        }
    }
}

/// A line of `outputs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputLine {
    pub(crate) form: OutputForm,
    pub(crate) dest: WorkspacePath,
}

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputForm {
    /// An archive with the image in the OCI image layout.
    OciArchive,
    /// The same as a directory.
    OciDirectory,
    /// An archive of the image's files.
    FilesArchive,
    /// The image's files in a directory.
    Files,
}

impl Value for OutputLine {
    fn parse(line: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let attributes = if line.contains('=') {
            attributes::parse(line)?
        } else {
            // Docker's short form.
            [("type", "local"), ("dest", line)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        };
        let of = |key: &str| attributes.get(key).map(String::as_str);
        let form = match (of("type"), of("tar")) {
            (Some("oci"), Some("false")) => OutputForm::OciDirectory,
            (Some("oci"), _) => OutputForm::OciArchive,
            (Some("tar"), _) => OutputForm::FilesArchive,
            (Some("local"), _) => OutputForm::Files,
            (Some("docker"), _) => {
                return Err(format!(
                    "`{line}` is not needed: the image is in Docker after the step"
                ));
            }
            (Some("image" | "registry"), _) => {
                return Err(format!("`{line}`: an image is pushed with `push: true`"));
            }
            (kind, _) => {
                let kind = kind.map(|kind| format!("the unknown type `{kind}`"));
                let kind = kind.unwrap_or_else(|| "no `type`".to_owned());
                return Err(format!(
                    "`{line}` has {kind}; expected one of `oci`, `local`, `tar`"
                ));
            }
        };
        let known = ["type", "dest", "tar"];
        if let Some(key) = attributes.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("`{key}` in `{line}` is not supported"));
        }
        let dest = of("dest").ok_or_else(|| format!("`{line}` has no `dest`"))?;
        let dest = WorkspacePath::parse(dest, scope)?;
        Ok(Self { form, dest })
    }
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    #[test]
    fn a_platform_has_the_names_of_buildkit() {
        let (log, workspace) = (Log::sink(), Workspace::new("."));
        let scope = Scope::new(&log, &workspace);
        let parse = |text: &str| BuildPlatform::parse(text, &scope).map(|one| one.0.to_string());
        let table = [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("x86-64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("Linux/ARM/v7", "linux/arm/v7"),
            ("linux/i386", "linux/386"),
        ];
        for (text, platform) in table {
            assert_eq!(parse(text).as_deref(), Ok(platform), "{text}");
        }
        for text in ["windows/amd64", "linux/", "linux/a b", "linux/arm/v7/x"] {
            assert!(parse(text).unwrap_err().contains("is not a platform"));
        }
    }
}
