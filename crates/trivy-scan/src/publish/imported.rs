//! Results of other scanners: their categories, and as many files as GitHub's limits need.

use std::collections::HashSet;

use actions_toolkit::{Context, Redactor};
use findings::imported::{ImportedRun, Levels, write};
use findings::sarif;
use github::CompressedSarif;

use crate::request::{Request, SarifFile};
use crate::scan::ScanOutcome;

/// The analyses of other scanners, in their categories.
pub(crate) struct Imported {
    pub(crate) rows: Vec<ImportedRow>,
    pub(super) uploads: Vec<CompressedSarif>,
    /// Results that did not fit.
    pub(crate) omitted: usize,
}

/// The files to upload.
#[derive(Default)]
struct Packed {
    files: Vec<CompressedSarif>,
    omitted: usize,
}

/// One analysis, for a person.
pub(crate) struct ImportedRow {
    /// Relative to the workspace.
    pub(crate) file: String,
    pub(crate) tool: String,
    pub(crate) category: String,
    pub(crate) levels: Levels,
    pub(crate) remarks: Vec<String>,
}

impl Imported {
    /// The analyses of `files`, in a step that also uploads `outcomes`.
    ///
    /// # Errors
    /// When a file cannot be compressed.
    pub(crate) async fn new(
        ctx: &Context,
        request: &Request,
        files: Vec<SarifFile>,
        outcomes: &[ScanOutcome],
    ) -> anyhow::Result<Self> {
        let count: usize = files.iter().map(|file| file.runs.len()).sum();
        let is_only = count == 1 && request.targets.is_empty();
        let mut known: HashSet<_> = outcomes
            .iter()
            .map(|outcome| (sarif::TRIVY.name.to_owned(), outcome.category.clone()))
            .collect();
        let mut rows = Vec::new();
        let mut runs = Vec::new();
        for SarifFile {
            path,
            runs: of_file,
        } in files
        {
            for mut run in of_file {
                let own = run.id.clone();
                let category = request.category_of(ctx, &run.tool, own.as_deref(), is_only);
                let category = distinct(&mut known, &run.tool, category);
                let (_, run_id) = github::category_and_run_id(own.as_deref().unwrap_or_default());
                run.set_id(format!("{category}/{run_id}"));
                rows.push(ImportedRow {
                    file: path.clone(),
                    tool: run.tool.clone(),
                    category,
                    levels: run.levels,
                    remarks: std::mem::take(&mut run.remarks),
                });
                runs.push(run);
            }
        }
        let redactor = ctx.log().redactor().clone();
        // To compress hundreds of megabytes takes seconds.
        let pack = move || {
            let mut packed = Packed::default();
            let runs: Vec<_> = runs.iter().collect();
            for chunk in runs.chunks(sarif::RUNS) {
                packed.add(chunk, &redactor)?;
            }
            anyhow::Ok(packed)
        };
        let Packed { files, omitted } = tokio::task::spawn_blocking(pack).await??;
        Ok(Self {
            rows,
            uploads: files,
            omitted,
        })
    }

    /// The results of all analyses.
    pub(crate) fn levels(&self) -> Levels {
        let levels = self.rows.iter().map(|row| row.levels);
        levels.fold(Levels::default(), |sum, levels| sum + levels)
    }
}

impl Packed {
    // In two files where one would be too large; a single analysis loses its least severe results.
    fn add(&mut self, runs: &[&ImportedRun], redactor: &Redactor) -> anyhow::Result<()> {
        let whole = CompressedSarif::new(&write(runs, sarif::RESULTS), redactor)?;
        if whole.fits() {
            self.files.push(whole);
            return Ok(());
        }
        if let [run] = runs {
            for size in sarif::sizes().skip(1) {
                let part = CompressedSarif::new(&write(runs, size), redactor)?;
                if part.fits() {
                    self.omitted += run.omitted(size);
                    self.files.push(part);
                    return Ok(());
                }
            }
            // GitHub says how large it is.
            self.files.push(whole);
            return Ok(());
        }
        let (first, second) = runs.split_at(runs.len() / 2);
        self.add(first, redactor)?;
        self.add(second, redactor)
    }
}

// GitHub rejects two analyses of one tool and category.
fn distinct(known: &mut HashSet<(String, String)>, tool: &str, category: String) -> String {
    let numbered = (2_u32..).map(|number| format!("{category}-{number}"));
    let mut candidates = std::iter::once(category.clone()).chain(numbered);
    let free = candidates.find(|name| known.insert((tool.to_owned(), name.clone())));
    free.unwrap_or(category)
}
