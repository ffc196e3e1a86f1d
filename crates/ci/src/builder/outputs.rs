//! The outputs of a build in the workspace, written when every check has passed.

use std::fs::File;
use std::path::Path;

use actions_toolkit::{Log, WorkspacePath};
use anyhow::Context as _;
use docker::BuildRequest;

use super::RunBuilder;
use crate::build::as_error;
use crate::request::builder::{OutputForm, OutputLine};

impl RunBuilder<'_> {
    /// Write the outputs of the request; `request` is the build of the image.
    ///
    /// # Errors
    /// When one can't be written.
    pub(crate) async fn write_outputs(
        &self,
        log: &Log,
        request: &BuildRequest,
    ) -> anyhow::Result<()> {
        for OutputLine { form, dest } in &self.request.outputs {
            let what = || format!("failed to write the output `{}`", dest.given());
            self.write_output(request, *form, dest)
                .await
                .with_context(what)?;
            log.info(format!("wrote `{}`", dest.relative()));
        }
        Ok(())
    }

    async fn write_output(
        &self,
        request: &BuildRequest,
        form: OutputForm,
        dest: &WorkspacePath,
    ) -> anyhow::Result<()> {
        let place = self.place(&request.image)?;
        let path = self.directory.path().join("output.tar");
        match form {
            OutputForm::OciDirectory => {
                self.local.write_layout(&place, &dest.create_directory()?)?;
                return dest.give_to_owner();
            }
            OutputForm::OciArchive => self.local.write_archive(&place, File::create(&path)?)?,
            OutputForm::FilesArchive | OutputForm::Files => {
                let request = BuildRequest {
                    logins: self.logins.clone(),
                    ..request.clone()
                };
                // The steps are in BuildKit's cache.
                let files = self.kit.build_files(&request, &self.solve, &path, |_| {});
                files.await.map_err(as_error)?;
            }
        }
        if form == OutputForm::Files {
            let into = dest.create_directory()?;
            tokio::task::spawn_blocking(move || unpack(&path, &into)).await??;
            return dest.give_to_owner();
        }
        dest.write_file(&path)
    }
}

// What a build wrote, a stranger's perhaps: nothing outside of `into` is written, and no file runs as its owner (setuid).
pub(crate) fn unpack(archive: &Path, into: &Path) -> anyhow::Result<()> {
    let mut archive = tar::Archive::new(File::open(archive)?);
    Ok(archive.unpack(into)?)
}
