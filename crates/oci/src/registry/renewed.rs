//! Credentials that expire while a run lasts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::auth::Credentials;

type Fetch = Box<dyn Fn() -> BoxFuture<'static, anyhow::Result<Credentials>> + Send + Sync>;

/// Credentials that are fetched when a registry requires them, and again when they have become old. Cheap to clone; the
/// clones share them.
#[derive(Clone)]
pub struct Renewed(Arc<Inner>);

struct Inner {
    fetch: Fetch,
    life: Duration,
    /// A request for them waits for the one that fetches them.
    current: Mutex<Option<(Instant, Credentials)>>,
}

impl Renewed {
    /// The credentials that `fetch` provides, each for `life`.
    pub fn new(
        life: Duration,
        fetch: impl Fn() -> BoxFuture<'static, anyhow::Result<Credentials>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            fetch: Box::new(fetch),
            life,
            current: Mutex::default(),
        }))
    }

    /// The credentials of now.
    ///
    /// # Errors
    /// When they can't be fetched.
    pub async fn get(&self) -> anyhow::Result<Credentials> {
        let mut current = self.0.current.lock().await;
        if let Some((fetched, credentials)) = &*current
            && fetched.elapsed() < self.0.life
        {
            return Ok(credentials.clone());
        }
        let credentials = (self.0.fetch)().await?;
        *current = Some((Instant::now(), credentials.clone()));
        Ok(credentials)
    }
}
