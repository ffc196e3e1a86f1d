//! The size of what Docker gets from the workspace.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actions_toolkit::{BadInput, Context};
use docker::context_size;

use super::path::DockerfilePath;
use crate::action::Inputs;
use crate::test_image;

const MEGABYTE: u64 = 1_000_000;

type Size = anyhow::Result<(u64, Option<(PathBuf, u64)>)>;

/// Reject a context, and for `test-image` a workspace, that is larger than `context-limit`.
pub(super) async fn check(ctx: &Context, inputs: &Inputs) -> anyhow::Result<()> {
    let dockerfile = DockerfilePath::of(inputs)?.in_context;
    let context = inputs.context.absolute();
    let hint = "exclude files with a `.dockerignore`";
    let size =
        move |is_canceled: &dyn Fn() -> bool| context_size(&context, &dockerfile, is_canceled);
    one(ctx, inputs, (Inputs::context, "build context", hint), size).await?;
    if inputs.test_image.is_none() {
        return Ok(());
    }
    let tree = test_image::tree(&ctx.workspace()?);
    let hint = "remove what the tests do not need before this step";
    let size = move |is_canceled: &dyn Fn() -> bool| tree.size(is_canceled);
    one(
        ctx,
        inputs,
        (Inputs::test_image, "the workspace", hint),
        size,
    )
    .await
}

async fn one(
    ctx: &Context,
    inputs: &Inputs,
    (input, what, hint): (&'static str, &str, &str),
    size: impl FnOnce(&dyn Fn() -> bool) -> Size + Send + 'static,
) -> anyhow::Result<()> {
    let bad = |problem| BadInput::new(input, problem);
    let limit = inputs.context_limit;
    // There may be a million files.
    let is_canceled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_canceled);
    let size = tokio::task::spawn_blocking(move || size(&|| flag.load(Ordering::Relaxed)));
    let size = tokio::select! {
        size = size => size?,
        cancelled = ctx.cancelled() => {
            is_canceled.store(true, Ordering::Relaxed);
            return Err(cancelled.into());
        }
    };
    let (size, largest) = size.map_err(|e| bad(format!("cannot be read: {e:#}")))?;
    if size <= limit.saturating_mul(MEGABYTE) {
        return Ok(());
    }
    let largest = largest.map(|(path, bytes)| {
        let megabytes = bytes.div_ceil(MEGABYTE);
        format!(" (largest file: `{}`, {megabytes} MB)", path.display())
    });
    Err(bad(format!(
        "{what} is {} MB, over the `context-limit` of {limit} MB{}; {hint}",
        size.div_ceil(MEGABYTE),
        largest.unwrap_or_default()
    ))
    .into())
}
