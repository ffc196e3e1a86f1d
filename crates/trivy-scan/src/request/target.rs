//! What is scanned.

use std::fmt;
use std::path::Path;

use actions_toolkit::{BadInput, Context};
use oci::ImageRef;
use trivy::{Scanner, Target};

use super::present;

/// The kinds of scan, as authors write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Image,
    Archive,
    Fs,
    Config,
    Secret,
}

impl Kind {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "image" => Self::Image,
            "archive" => Self::Archive,
            "fs" => Self::Fs,
            "config" => Self::Config,
            "secret" => Self::Secret,
            _ => return None,
        })
    }
}

const KINDS: &str = "`image`, `archive`, `fs`, `config`, `secret`";

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Archive => "archive",
            Self::Fs => "fs",
            Self::Config => "config",
            Self::Secret => "secret",
        })
    }
}

/// One thing to scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetRequest {
    pub(crate) kind: Kind,
    /// The image or path as it was given.
    pub(crate) given: String,
    pub(crate) target: Target,
    /// By what its findings are known: without tag, digest or a file's name.
    pub(crate) name: String,
    /// The folder that is scanned, relative to the workspace; empty for the workspace itself.
    pub(crate) prefix: String,
}

impl TargetRequest {
    /// What the inputs ask for.
    pub(super) fn all(ctx: &Context, workspace: &Path) -> Result<Vec<Self>, BadInput> {
        let inputs = ctx.inputs();
        let lines = inputs.lines("targets");
        if lines.is_empty() {
            let text = inputs.required("scan-type")?;
            let kind = Kind::read(text).ok_or_else(|| {
                BadInput::new("scan-type", format!("`{text}` is none of {KINDS}"))
            })?;
            let (name, given) = if kind == Kind::Image {
                let problem = "is required for `scan-type: image`";
                let image = inputs.text("image");
                (
                    "image",
                    image.ok_or_else(|| BadInput::new("image", problem))?,
                )
            } else {
                ("path", inputs.required("path")?)
            };
            return Ok(vec![Self::of(ctx, workspace, kind, name, given)?]);
        }
        if inputs.text("image").is_some() {
            return Err(BadInput::new(
                "image",
                "can't be given beside `targets`: write it there as `image NAME`",
            ));
        }
        let mut found: Vec<Self> = Vec::new();
        for line in lines {
            let (kind, given) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let kind = Kind::read(kind).ok_or_else(|| {
                BadInput::new("targets", format!("`{line}` starts with none of {KINDS}"))
            })?;
            let given = given.trim();
            if given.is_empty() {
                let problem = format!("`{line}` does not say what to scan");
                return Err(BadInput::new("targets", problem));
            }
            let target = Self::of(ctx, workspace, kind, "targets", given)?;
            if let Some(twin) = found
                .iter()
                .find(|other| (other.kind, &other.name) == (target.kind, &target.name))
            {
                // GitHub refuses a file with two analyses of one category.
                let problem = format!("`{line}` and `{kind} {}` have one name", twin.given);
                return Err(BadInput::new("targets", problem));
            }
            found.push(target);
        }
        Ok(found)
    }

    fn of(
        ctx: &Context,
        workspace: &Path,
        kind: Kind,
        input: &str,
        given: &str,
    ) -> Result<Self, BadInput> {
        if kind == Kind::Image {
            let image: ImageRef = given
                .parse()
                .map_err(|e| BadInput::new(input, format!("`{given}`: {e}")))?;
            return Ok(Self {
                kind,
                given: given.to_owned(),
                target: Target::Image(given.to_owned()),
                name: image.repository().to_owned(),
                prefix: String::new(),
            });
        }
        let path = present(ctx, input, given)?;
        let inside = path.strip_prefix(workspace).unwrap_or(Path::new(""));
        let parts = inside.components().filter_map(|part| match part {
            std::path::Component::Normal(part) => part.to_str(),
            _ => None,
        });
        let prefix = parts.collect::<Vec<_>>().join("/");
        let name = match kind {
            // The image's own name, once it is known.
            Kind::Archive => "image".to_owned(),
            _ if prefix.is_empty() => "repository".to_owned(),
            _ => prefix.clone(),
        };
        let target = match kind {
            Kind::Archive => Target::ImageTar(path),
            Kind::Config => Target::Config(path),
            _ => Target::Filesystem(path),
        };
        Ok(Self {
            kind,
            given: given.to_owned(),
            target,
            name,
            prefix: if kind == Kind::Archive {
                String::new()
            } else {
                prefix
            },
        })
    }

    /// The same in another folder: the base's checkout.
    pub(crate) fn in_folder(&self, folder: &Path) -> Option<Self> {
        let path = folder.join(&self.prefix);
        let target = match self.target {
            Target::Filesystem(_) => Target::Filesystem(path),
            Target::Config(_) => Target::Config(path),
            Target::Image(_) | Target::ImageTar(_) => return None,
        };
        Some(Self {
            target,
            ..self.clone()
        })
    }

    /// What is looked for, of what the step looks for.
    pub(crate) fn scanners(&self, wanted: &[Scanner]) -> Vec<Scanner> {
        if self.kind == Kind::Secret {
            vec![Scanner::Secrets]
        } else {
            wanted.to_vec()
        }
    }

    /// Whether it is an image.
    pub(crate) fn is_image(&self) -> bool {
        matches!(self.kind, Kind::Image | Kind::Archive)
    }
}
