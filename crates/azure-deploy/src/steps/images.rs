//! The images in Docker.

use actions_toolkit::BadInput;
use docker::Docker;

use crate::request::Request;

/// Require every image of the request: nothing else is started without them.
///
/// # Errors
/// [`BadInput`] with the first image that Docker does not have.
pub(crate) async fn require(docker: &Docker, request: &Request) -> anyhow::Result<()> {
    for (input, image) in std::iter::once(("image", &request.image))
        .chain(request.also_push.iter().map(|i| ("also-push", i)))
    {
        if docker.inspect(image).await?.is_none() {
            return Err(BadInput::new(
                input,
                format!("Docker has no image `{image}`; build or pull it in an earlier step"),
            )
            .into());
        }
    }
    Ok(())
}
