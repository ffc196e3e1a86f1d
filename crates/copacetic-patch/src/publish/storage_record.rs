//! The records on GitHub of which registry has the patched images.

use github::{Recorder, StoredImage};

use crate::report::ImageReport;
use crate::session::Session;

/// Record those of the images that are `done` which this run pushed, if that is requested.
///
/// What goes wrong is logged, and changes no verdict.
pub(crate) async fn write(session: &Session<'_>, done: &[ImageReport]) {
    let Some(token) = &session.request.records else {
        return;
    };
    let pushed = done.iter().filter_map(|report| {
        let (host, repository) = report.image.in_registry();
        Some(StoredImage {
            digest: report.pushed()?.to_owned(),
            host: host.to_owned(),
            repository: repository.into_owned(),
        })
    });
    let pushed: Vec<_> = pushed.collect();
    if pushed.is_empty() {
        return;
    }
    if let Some(recorder) = Recorder::new(session.ctx, token) {
        recorder.store(&pushed).await;
    }
}
