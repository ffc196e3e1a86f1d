//! .NET packages (learn.microsoft.com/nuget/consume-packages/package-references-in-project-files).

use super::{Directories, Ecosystem, FileName, PackageFile, numbered};

/// Versions of all projects in the directories below it, which Trivy reads.
const CENTRAL: &str = "Directory.Packages.props";

pub(super) const DOTNET: Ecosystem = Ecosystem {
    installed: None,
    // Names are compared without regard to case.
    normalize: str::to_lowercase,
    files: &[
        PackageFile::lock("packages.lock.json", "nuget"),
        PackageFile::lock("packages.config", "nuget"),
        PackageFile::lock(CENTRAL, "packages-props"),
        project(".csproj"),
        project(".fsproj"),
        project(".vbproj"),
    ],
};

const fn project(extension: &'static str) -> PackageFile {
    PackageFile::new(FileName::Affixes("", extension))
        .without_lock_file_above(declares_packages, is_locked_above)
}

// `<PackageReference Include="Serilog" Version="4.0.0" />`. The packages of a project with tests are not delivered, nor are
// those that only the build uses.
fn declares_packages(text: &str) -> bool {
    let lines = numbered(text).map(|(_, line)| line);
    let mut references =
        lines.filter(|line| line.starts_with("<PackageReference") && line.contains("Include="));
    !text.contains("\"Microsoft.NET.Test.Sdk\"")
        && references.any(|line| !line.to_lowercase().contains("privateassets=\"all\""))
}

fn is_locked_above(_: &str, directories: &dyn Directories) -> bool {
    let central = directories.above(CENTRAL);
    central
        .iter()
        .any(|(text, _)| text.contains("<PackageVersion"))
}
