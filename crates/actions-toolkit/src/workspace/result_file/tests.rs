use super::*;
use crate::Workspace;

struct Job {
    workspace: tempfile::TempDir,
    temp: tempfile::TempDir,
}

impl Job {
    fn new() -> Self {
        let [workspace, temp] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        Self { workspace, temp }
    }

    /// The names that a step has: `(run, step)`, for files that are a default (`report.json`) or chosen (`=report.json`).
    fn step(&self, (run, step): (&str, &str), files: &[&str]) -> (FileClaim, Vec<String>) {
        self.step_of_leg(None, (run, step), files)
    }

    fn step_of_leg(
        &self,
        leg: Option<&str>,
        (run, step): (&str, &str),
        files: &[&str],
    ) -> (FileClaim, Vec<String>) {
        let workspace = Workspace::new(self.workspace.path());
        let file = |name: &&str| ResultFile {
            path: workspace
                .path("report-file", name.trim_start_matches('='))
                .unwrap(),
            is_chosen: name.starts_with('='),
        };
        let mut files: Vec<_> = files.iter().map(file).collect();
        let mut pairs = vec![("GITHUB_ACTION", step)];
        pairs.extend((!run.is_empty()).then_some(("GITHUB_RUN_ID", run)));
        let env = Env::from_pairs(pairs);
        let places = [self.temp.path().to_owned()];
        let mut named: Vec<_> = files.iter_mut().collect();
        let claim = FileClaim::new(&env, &places, &Log::sink(), leg, &mut named);
        let paths = files.into_iter().map(ResultFile::into_path);
        (
            claim,
            paths.map(|path| path.relative().to_owned()).collect(),
        )
    }

    /// The same for a step that writes its files, and is over.
    fn written(&self, id: (&str, &str), files: &[&str]) -> Vec<String> {
        let (claim, names) = self.step(id, files);
        for claimed in &claim.claimed {
            claimed.path.write(id.1.as_bytes()).unwrap();
        }
        names
    }
}

#[test]
fn a_step_does_not_replace_what_another_step_of_its_job_wrote() {
    let job = Job::new();
    let files = ["a.sarif", "out/b.json"];
    let first = ["a.sarif", "out/b.json"];
    let second = ["a-step-2.sarif", "out/b-step-2.json"];
    assert_eq!(job.written(("42", "one"), &files), first);
    assert_eq!(job.written(("42", "two"), &files), second);
    // One name is enough: the files of a step belong together.
    assert_eq!(
        job.written(("42", "three"), &["a.sarif", "c.txt"]),
        ["a-step-3.sarif", "c-step-3.txt"]
    );
    // The same step again, another run, and a run outside of a workflow.
    assert_eq!(job.written(("42", "two"), &files), second);
    assert_eq!(job.written(("43", "two"), &files), first);
    assert_eq!(job.written(("", "four"), &files), first);
    let text = std::fs::read_to_string(job.workspace.path().join("a-step-2.sarif"));
    assert_eq!(text.unwrap(), "two");
}

#[test]
fn a_step_that_wrote_nothing_has_no_names() {
    let job = Job::new();
    std::fs::write(job.workspace.path().join("a.sarif"), "of an earlier job").unwrap();
    drop(job.step(("42", "one"), &["a.sarif"]));
    assert_eq!(job.written(("42", "two"), &["a.sarif"]), ["a.sarif"]);
    let (claim, names) = job.step(("42", "three"), &["a.sarif"]);
    assert_eq!(names, ["a-step-2.sarif"]);
    let others = claim.others().iter().map(WorkspacePath::relative);
    assert_eq!(others.collect::<Vec<_>>(), ["a.sarif"]);
}

#[test]
fn a_chosen_name_stays_unless_another_step_writes_the_file_now() {
    let job = Job::new();
    let files = ["=a.sarif", "b.json"];
    assert_eq!(job.written(("42", "one"), &files), ["a.sarif", "b.json"]);
    let (running, names) = job.step(("42", "two"), &files);
    assert_eq!(names, ["a.sarif", "b-step-2.json"]);
    let (_, names) = job.step(("42", "three"), &files);
    assert_eq!(names, ["a-step-2.sarif", "b-step-3.json"]);
    drop(running);
    let (_, names) = job.step(("42", "three"), &files);
    assert_eq!(names, ["a.sarif", "b-step-2.json"]);
}

#[test]
fn a_default_name_has_the_leg_of_the_matrix() {
    let job = Job::new();
    let files = ["a.sarif", "=b.json"];
    let (_, names) = job.step_of_leg(Some("os-linux"), ("42", "one"), &files);
    assert_eq!(names, ["a-os-linux.sarif", "b.json"]);
}

#[test]
fn a_name_that_another_step_has_published_under_is_taken() {
    let temp = tempfile::tempdir().unwrap();
    let places = [temp.path().to_owned()];
    let is_taken = |run: &str, step: &str, name: &str| {
        let env = Env::from_pairs([("GITHUB_RUN_ID", run), ("GITHUB_ACTION", step)]);
        Record::new(&env).unwrap().publish(&places, name)
    };
    assert!(!is_taken("42", "one", "a"));
    assert!(!is_taken("42", "one", "a"));
    assert!(!is_taken("42", "two", "b"));
    assert!(is_taken("42", "two", "a"));
    assert!(!is_taken("43", "three", "a"));
}
