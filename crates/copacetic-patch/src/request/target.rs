//! One image to patch, and the name that its patch gets.

use std::borrow::Cow;

use actions_toolkit::{BadInput, Scope, Value};
use oci::{ImageRef, is_docker_hub};

use super::{Inputs, TagTemplate};

/// The path of Docker's official images, which no one writes.
const OFFICIAL: &str = "library/";

/// An image, and the name that its patch gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) image: ImageRef,
    pub(crate) patched: ImageRef,
}

impl Target {
    /// Whether the patch is in another repository than the image.
    pub(crate) fn is_moved(&self) -> bool {
        self.patched.in_registry() != self.image.in_registry()
    }

    /// Whether the patch replaces the image under its own tag.
    pub(crate) fn is_in_place(&self) -> bool {
        !self.is_moved() && self.patched.tag() == self.image.tag()
    }
}

/// How the name of a patch follows from that of its image.
pub(crate) struct Naming {
    pub(crate) template: TagTemplate,
    pub(crate) destination: Option<Destination>,
    /// Whether a tag that this action did not push may be replaced.
    pub(crate) replaces_tags: bool,
}

impl Naming {
    /// The target for `image`.
    ///
    /// # Errors
    /// [`BadInput`] when the image has no tag to name the patch after, or the name would be invalid, or the image's own
    /// although that may not be replaced.
    pub(crate) fn target(&self, image: &ImageRef) -> Result<Target, BadInput> {
        let moved = match &self.destination {
            Some(destination) => destination.name_of(image)?,
            None => image.clone(),
        };
        let target = Target {
            patched: self.template.apply(image, &moved)?,
            image: image.clone(),
        };
        if target.is_in_place() && !self.replaces_tags {
            let problem = format!(
                "must not be the image's own tag: the original would be overwritten; set `{}: true` to replace it",
                Inputs::replace_tags
            );
            return Err(BadInput::new(Inputs::patched_tag, problem));
        }
        Ok(target)
    }
}

/// A registry, and a path in it that precedes those of the repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) host: String,
    path: String,
}

impl Destination {
    /// The name of `image` there.
    ///
    /// # Errors
    /// [`BadInput`] when it would be invalid.
    fn name_of(&self, image: &ImageRef) -> Result<ImageRef, BadInput> {
        let path = image.repository();
        let path = match image.registry() {
            Some(host) if !is_docker_hub(host) => path,
            _ => path.strip_prefix(OFFICIAL).unwrap_or(path),
        };
        let path = if self.path.is_empty() {
            Cow::from(path)
        } else {
            format!("{}/{path}", self.path).into()
        };
        let moved = image.moved_to(&self.host, &path);
        moved.map_err(|e| BadInput::new(Inputs::push_to, format!("`{image}`: {e}")))
    }
}

impl Value for Destination {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let invalid = || {
            format!(
                "invalid destination `{text}`; use a registry and a path, such as `ghcr.io/team`"
            )
        };
        let text = text.trim_end_matches('/');
        let example: ImageRef = format!("{text}/image").parse().map_err(|_| invalid())?;
        let host = example.registry().ok_or_else(invalid)?;
        let path = example.repository().trim_end_matches("image");
        Ok(Self {
            host: host.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    fn parse<T: Value>(text: &str) -> Result<T, String> {
        T::parse(text, &Scope::new(&Log::sink(), &Workspace::new("/w")))
    }

    fn naming(destination: Option<&str>, template: &str, replaces_tags: bool) -> Naming {
        Naming {
            template: parse(template).unwrap(),
            destination: destination.map(|text| parse(text).unwrap()),
            replaces_tags,
        }
    }

    #[test]
    fn a_repository_keeps_its_path_below_the_destination() {
        let table = [
            ("ghcr.io/me", "nginx:1", "ghcr.io/me/nginx:1-patched"),
            (
                "ghcr.io/me",
                "docker.io/library/nginx:1",
                "ghcr.io/me/nginx:1-patched",
            ),
            (
                "ghcr.io/me/",
                "bitnami/redis:7",
                "ghcr.io/me/bitnami/redis:7-patched",
            ),
            (
                "own.example:5000",
                "quay.io/a/library/b:1",
                "own.example:5000/a/library/b:1-patched",
            ),
            (
                "own.example/x/y",
                "quay.io/library/b:1",
                "own.example/x/y/library/b:1-patched",
            ),
        ];
        for (destination, image, expected) in table {
            let naming = naming(Some(destination), "{tag}-patched", false);
            let target = naming.target(&image.parse().unwrap()).unwrap();
            assert_eq!(target.patched.to_string(), expected);
            assert!(target.is_moved());
        }
    }

    #[test]
    fn a_tag_follows_from_that_of_the_original_or_is_the_same_for_all() {
        let image: ImageRef = "ghcr.io/me/app:1.2".parse().unwrap();
        for (template, expected) in [
            ("{tag}-patched", "1.2-patched"),
            ("safe-{tag}", "safe-1.2"),
            ("{tag}-of-{tag}", "1.2-of-1.2"),
            ("stable", "stable"),
        ] {
            let target = naming(None, template, false).target(&image).unwrap();
            assert_eq!(target.patched.tag(), Some(expected));
        }
    }

    #[test]
    fn an_own_tag_is_replaced_only_on_request() {
        let image: ImageRef = "ghcr.io/me/app:1".parse().unwrap();
        let own = |destination, replaces| naming(destination, "{tag}", replaces).target(&image);
        assert!(own(None, true).unwrap().is_in_place());
        // The same repository by another name of it.
        for destination in [None, Some("ghcr.io")] {
            insta::allow_duplicates! {
                insta::assert_snapshot!(own(destination, false).unwrap_err(), @"input `patched-tag`: must not be the image's own tag: the original would be overwritten; set `replace-tags: true` to replace it");
            }
        }
        let mirror = own(Some("own.example"), false).unwrap();
        assert_eq!(mirror.patched.to_string(), "own.example/me/app:1");
        assert!(mirror.is_moved() && !mirror.is_in_place());
    }

    #[test]
    fn a_destination_begins_with_a_registry() {
        for text in [
            "team",
            "team/app",
            "ghcr.io/Team",
            "https://ghcr.io/team",
            "ghcr.io/a:1",
        ] {
            let error = parse::<Destination>(text).unwrap_err();
            let expected = format!(
                "invalid destination `{text}`; use a registry and a path, such as `ghcr.io/team`"
            );
            assert_eq!(error, expected);
        }
    }
}
