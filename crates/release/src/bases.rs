//! The base images for BuildKit where no registry has them: those of Docker, from a local registry.

use anyhow::Context as _;
use docker::{Docker, LocalRegistry};

use xtask::paths;
use xtask::setup::base_images::{DEBIAN, GO, RUST};
use xtask::setup::command::{command, output};

/// The base images, by the argument that names each in `Dockerfile.action` and in the application's Dockerfile.
const IMAGES: [(&str, &str); 4] = [
    ("BASE_IMAGE", DEBIAN),
    ("RUST_IMAGE", RUST),
    ("GO_IMAGE", GO),
    ("RUNTIME_IMAGE", DEBIAN),
];

/// The prefix of the directories of a [`LocalRegistry`].
const SERVED: &str = "seaworthy-images-";

/// Where the base images are.
pub(crate) enum Bases {
    /// At the addresses in the Dockerfile.
    Named,
    /// At addresses of this machine, as long as this lives.
    Served {
        /// Argument and address.
        arguments: Vec<(&'static str, String)>,
        /// Their ids in Docker.
        ids: String,
        /// Never read: they serve until they are dropped.
        _registry: LocalRegistry,
        _runtime: tokio::runtime::Runtime,
    },
}

impl Bases {
    /// Serve those of Docker.
    ///
    /// # Errors
    /// When Docker has none of that name.
    pub(crate) fn serve() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let directory = paths::cache().join("release");
        std::fs::create_dir_all(&directory)?;
        // Left by an interrupted run; there is one run at a time.
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(SERVED) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        let mut arguments = Vec::new();
        let mut ids = String::new();
        let registry = runtime.block_on(async {
            let docker = Docker::connect(None).await?;
            let registry = LocalRegistry::open(&directory).await?;
            for (argument, image) in IMAGES {
                let name = image.parse().context("invalid name of a base image")?;
                let served = registry.add_saved(&docker, &name, "base").await?;
                arguments.push((argument, served.to_string()));
            }
            anyhow::Ok(registry)
        })?;
        for (_, image) in IMAGES {
            let id = ["image", "inspect", "--format", "{{.Id}}", image];
            ids.push_str(&output(&mut command("docker", id))?);
        }
        Ok(Self::Served {
            arguments,
            ids,
            _registry: registry,
            _runtime: runtime,
        })
    }

    /// The arguments of a build.
    pub(crate) fn arguments(&self) -> &[(&'static str, String)] {
        match self {
            Self::Named => &[],
            Self::Served { arguments, .. } => arguments,
        }
    }

    /// What distinguishes them from others of the same names.
    pub(crate) fn ids(&self) -> &str {
        match self {
            Self::Named => "",
            Self::Served { ids, .. } => ids,
        }
    }
}
