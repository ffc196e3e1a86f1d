//! A fake Docker daemon that saves images, each of one layer.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode};

use super::*;

struct State {
    /// Names and layers.
    images: Vec<(String, String)>,
    /// The names of each requested archive.
    requests: Mutex<Vec<String>>,
}

pub(super) struct Fake {
    docker: Docker,
    state: Arc<State>,
    registry: LocalRegistry,
    _directory: tempfile::TempDir,
}

impl Fake {
    pub(super) async fn start(images: &[(&str, &str)]) -> Self {
        let images = images
            .iter()
            .map(|&(name, layer)| (name.into(), layer.into()));
        let state = Arc::new(State {
            images: images.collect(),
            requests: Mutex::default(),
        });
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let known = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let known = Arc::clone(&known);
                let service = hyper::service::service_fn(move |request| {
                    let response = respond(&known, &request);
                    async move { Ok::<_, Infallible>(response) }
                });
                let io = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service),
                );
            }
        });
        let host = format!("unix://{}", socket.display());
        Self {
            docker: Docker::connect(Some(&host)).await.unwrap(),
            state,
            registry: LocalRegistry::open(directory.path()).await.unwrap(),
            _directory: directory,
        }
    }

    /// Serve `images` and return their layers.
    pub(super) async fn add(&self, images: &[&str]) -> anyhow::Result<Vec<String>> {
        let names: Vec<ImageRef> = images.iter().map(|name| name.parse().unwrap()).collect();
        let spaces: Vec<_> = (0..names.len())
            .map(|index| format!("space-{index}"))
            .collect();
        let pairs: Vec<_> = names
            .iter()
            .zip(spaces.iter().map(String::as_str))
            .collect();
        let mut layers = Vec::new();
        for served in self.registry.add_saved_all(&self.docker, &pairs).await? {
            let image = self.registry.image(&served).await?.unwrap();
            let layer = self
                .registry
                .fetch(&image.manifest.layers[0].digest)
                .await?;
            layers.push(std::fs::read_to_string(layer)?);
        }
        Ok(layers)
    }

    /// The archives that were requested since the last call, each by its names.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.requests.lock().unwrap())
    }
}

fn respond(state: &State, request: &Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let body = if path.ends_with("/version") {
        json!({"ApiVersion": "1.41", "Version": "20.10.24"})
            .to_string()
            .into()
    } else if path.ends_with("/images/get") {
        let query = request.uri().query().unwrap_or_default();
        let names = url::form_urlencoded::parse(query.as_bytes());
        let names: Vec<_> = names.map(|(_, name)| name.into_owned()).collect();
        state.requests.lock().unwrap().push(names.join(" "));
        archive(state, &names)
    } else {
        let name = path
            .split_once("/images/")
            .unwrap()
            .1
            .strip_suffix("/json")
            .unwrap();
        let Some((_, layer)) = state.images.iter().find(|(known, _)| known == name) else {
            let mut absent = Response::new(r#"{"message": "no such image"}"#.into());
            *absent.status_mut() = StatusCode::NOT_FOUND;
            return absent;
        };
        let diff_id = Digest::sha256(layer.as_bytes()).to_string();
        json!({"Id": name, "RootFS": {"Type": "layers", "Layers": [diff_id]}})
            .to_string()
            .into()
    };
    Response::new(Full::new(body))
}

// As Docker writes it: one entry for an image, whatever its names; one that was requested by digest or id has no tags.
fn archive(state: &State, names: &[String]) -> Bytes {
    let mut entries: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in names {
        let image = state.images.iter().find(|(known, _)| known == name);
        let layer = image.unwrap().1.as_str();
        let at = entries.iter().position(|(known, _)| *known == layer);
        let at = at.unwrap_or_else(|| {
            entries.push((layer, Vec::new()));
            entries.len() - 1
        });
        if name.contains(':') && !name.contains('@') {
            entries[at].1.push(name);
        }
    }
    let mut files = Vec::new();
    let mut list = Vec::new();
    for (layer, tags) in entries {
        let config = config(&[Digest::sha256(layer.as_bytes()).as_str()]);
        let (layer_path, config_path) = (blob(layer.as_bytes()), blob(&config));
        list.push(json!({"Config": config_path, "RepoTags": tags, "Layers": [layer_path]}));
        files.extend([
            (layer_path, layer.as_bytes().to_vec()),
            (config_path, config),
        ]);
    }
    files.push((
        "manifest.json".to_owned(),
        Value::from(list).to_string().into_bytes(),
    ));
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    tar(&files).into()
}
