//! Scans, the uploads of their files, and patches.

use peers::{Peer, Rule};

use crate::job::Planner;
use crate::patch::patch;
use crate::plan::{Fate, NewStep};
use crate::role::{Inputs, Role};
use crate::scan::{self, Scan};
use crate::value::{expression, is_true};
use crate::workflow::input;

const TRIVY: &str = "aquasecurity/trivy-action";
pub(super) const UPLOAD: &str = "github/codeql-action/upload-sarif";
const COPA: &str = "project-copacetic/copa-action";

impl Planner<'_> {
    pub(super) fn scans(&mut self) {
        let Some(peer) = peers::peer(TRIVY) else {
            return;
        };
        let mut taken = vec![false; self.job.steps.len()];
        for index in 0..self.job.steps.len() {
            let Role::Scan(inputs) = &self.roles.roles[index] else {
                continue;
            };
            if taken[index] {
                continue;
            }
            let inputs = inputs.clone();
            let others = self.same_target(index, &inputs);
            let all: Vec<_> = others.iter().map(|(_, inputs)| inputs.clone()).collect();
            let mut scan = scan::scan(peer, &inputs, &all, self.is_for_copa(&inputs));
            if !others.is_empty()
                && !std::iter::once(&inputs)
                    .chain(&all)
                    .all(|all| input(all, "ignore-unfixed").is_some_and(is_true))
            {
                scan.new
                    .inputs
                    .retain(|input| input.name != "ignore-unfixed");
            }
            if self.job.steps[index].run.is_some() {
                scan.new.resolve(&inputs);
            }
            for (other, _) in &others {
                taken[*other] = true;
                self.plan.fates[*other] = Fate::Remove;
                self.plan.moved += 1;
            }
            let read: Vec<_> = scan
                .files
                .iter()
                .filter(|(file, _)| self.text.matches(file.as_str()).count() > 1)
                .map(|(_, reason)| reason.clone())
                .collect();
            scan.lost.extend(read);
            self.environment(index, peer, &mut scan);
            self.publish(index, &mut scan);
            self.scan_logins(&mut scan);
            if scan.has_snapshot {
                self.plan.permit("contents", "write");
            }
            self.lose(index, scan.lost);
            self.become_new(index, peer, scan.new);
        }
    }

    // Further steps that scan the same, with nothing between that could need the first one's failure.
    fn same_target(&self, index: usize, inputs: &Inputs) -> Vec<(usize, Inputs)> {
        let first = &self.job.steps[index];
        let mut found: Vec<(usize, Inputs)> = Vec::new();
        for next in index + 1..self.job.steps.len() {
            let step = &self.job.steps[next];
            match &self.roles.roles[next] {
                Role::Scan(other) => {
                    let is_same = scan::target(inputs) == scan::target(other)
                        && !scan::target(inputs).1.is_empty();
                    let is_conditioned = step.condition == first.condition
                        || step
                            .condition
                            .as_deref()
                            .is_some_and(|text| condition(text).is_none());
                    let names = [
                        "vuln-type",
                        "scanners",
                        "skip-dirs",
                        "skip-files",
                        "trivyignores",
                        "ignore-policy",
                        "trivy-config",
                        "input",
                    ];
                    let is_alike = names
                        .iter()
                        .all(|name| input(inputs, name) == input(other, name));
                    let format = |inputs| scan::format(inputs);
                    let with_file = |inputs: &Inputs| input(inputs, "output").is_some();
                    let is_new = std::iter::once(inputs)
                        .chain(found.iter().map(|(_, inputs)| inputs))
                        .all(|one| {
                            format(one) != format(other) || !(with_file(one) && with_file(other))
                        });
                    let gates = std::iter::once(inputs)
                        .chain(found.iter().map(|(_, inputs)| inputs))
                        .any(|one| input(one, "exit-code").is_some())
                        && input(other, "exit-code").is_some();
                    if !(is_same && is_conditioned && is_alike && is_new && !gates)
                        || self.is_referenced(next)
                        || step.run.is_some() != first.run.is_some()
                        || step.env != first.env
                    {
                        break;
                    }
                    found.push((next, other.clone()));
                }
                Role::UploadSarif => {}
                Role::Harmless if step.action.starts_with("actions/upload-artifact") => {}
                _ => break,
            }
        }
        found
    }

    fn is_for_copa(&self, inputs: &Inputs) -> bool {
        let Some(file) = input(inputs, "output") else {
            return false;
        };
        let is_reader = |role: &Role| matches!(role, Role::Patch(other) if input(other, "image-report").is_some_and(|report| same_file(report, file)));
        self.roles.roles.iter().any(is_reader)
    }

    // Variables that Trivy reads.
    fn environment(&mut self, index: usize, peer: &'static Peer, scan: &mut Scan) {
        for mapping in peer.environment {
            let own = self.job.steps[index]
                .env
                .iter()
                .find(|(name, _)| name == mapping.old);
            let shared = self.job.env.iter().any(|(name, _)| name == mapping.old);
            let value = match own {
                Some((name, value)) => {
                    scan.new.without_env.push(name.clone());
                    value.clone()
                }
                None if shared => format!("${{{{ env.{} }}}}", mapping.old),
                None => continue,
            };
            match mapping.rule {
                Rule::Keep(name) if !scan.new.has(name) => scan.new.set(name, value),
                Rule::Lines(name) => scan.new.set(name, value.replace(',', "\n")),
                _ => {}
            }
        }
        let step = &self.job.steps[index];
        let is_unknown = |name: &str| {
            name.starts_with("TRIVY_")
                && !peer.environment.iter().any(|mapping| mapping.old == name)
        };
        let unknown: Vec<_> = step
            .env
            .iter()
            .map(|(name, _)| name)
            .filter(|name| is_unknown(name))
            .cloned()
            .collect();
        for name in unknown {
            scan.lost.push(format!("the variable `{name}` is not read"));
        }
    }

    // The files that upload-sarif uploads are those of the scan: the step is part of it.
    fn publish(&mut self, index: usize, scan: &mut Scan) {
        let uploads = self.uploads(index, scan);
        let Some(first) = uploads.first().copied() else {
            scan.new.set("upload", "false");
            scan.new.set("comment", "false");
            return;
        };
        let step = &self.job.steps[first];
        if let Some(condition) = step.condition.as_deref().and_then(condition) {
            scan.new.set("upload", format!("${{{{ {condition} }}}}"));
        }
        if let Some(peer) = peers::peer(UPLOAD) {
            for (name, value) in &step.with {
                let Some(mapping) = peer.input(name) else {
                    continue;
                };
                match mapping.rule {
                    Rule::Keep(target) if target != "matrix" && !mapping.is_harmless(value) => {
                        scan.new.set(target, value.trim());
                    }
                    Rule::Lost if !mapping.is_harmless(value) => {
                        scan.lost.push(format!("`{name}`: {}", mapping.note));
                    }
                    _ => {}
                }
            }
        }
        scan.new.set("comment", "false");
        let own_id = self.job.steps[index].id.clone();
        for upload in uploads {
            if let Some(id) = self.job.steps[upload]
                .id
                .clone()
                .filter(|_| self.is_referenced(upload))
            {
                let new_id = own_id
                    .clone()
                    .or_else(|| scan.new.id.clone())
                    .unwrap_or_else(|| id.clone());
                if own_id.is_none() {
                    scan.new.id = Some(new_id.clone());
                }
                self.plan.outputs.insert(
                    (id, "sarif-id".to_owned()),
                    Some((new_id, "sarif-id".to_owned())),
                );
            }
            self.plan.fates[upload] = Fate::Remove;
            self.plan.moved += 1;
        }
        self.plan.permit("security-events", "write");
    }

    fn uploads(&mut self, index: usize, scan: &Scan) -> Vec<usize> {
        let Some(file) = &scan.sarif else {
            return Vec::new();
        };
        let is_scan =
            |role: &Role| matches!(role, Role::Scan(inputs) if scan::format(inputs) == "sarif");
        let is_only = self.roles.roles.iter().filter(|role| is_scan(role)).count() == 1;
        let mut found = Vec::new();
        for upload in index + 1..self.job.steps.len() {
            if !matches!(self.roles.roles[upload], Role::UploadSarif)
                || self.plan.fates[upload] != Fate::Stay
            {
                continue;
            }
            let given = self.job.steps[upload].input("sarif_file");
            let is_directory = given.is_none_or(|given| {
                !is_file(given)
                    && (given == "."
                        || file.starts_with(&format!(
                            "{}/",
                            given.trim_start_matches("./").trim_end_matches('/')
                        )))
            });
            if given.is_some_and(|given| same_file(given, file)) || (is_only && is_directory) {
                found.push(upload);
                break;
            }
        }
        found
    }

    fn scan_logins(&mut self, scan: &mut Scan) {
        let Some(image) = scan.image.clone() else {
            return;
        };
        if self.images_here.contains(&image) || scan.new.has("registry-username") {
            return;
        }
        let found = self
            .roles
            .logins
            .iter()
            .find(|login| login.is_for(&image) && login.user.is_some())
            .cloned();
        if let Some((login, line)) =
            found.and_then(|login| login.whole_line().map(|line| (login, line)))
        {
            scan.new.set("registries", line);
            if login.is_own_token() {
                self.plan.permit("packages", "read");
            }
            self.plan.replaced.insert(login.step);
        }
    }

    pub(super) fn patches(&mut self) {
        let Some(peer) = peers::peer(COPA) else {
            return;
        };
        for index in 0..self.job.steps.len() {
            let Role::Patch(inputs) = &self.roles.roles[index] else {
                continue;
            };
            let image = input(inputs, "image").map(ToOwned::to_owned);
            let (mut new, lost) = patch(peer, inputs);
            if self.job.steps[index].run.is_some() {
                new.resolve(inputs);
            }
            new.set("upload", "false");
            if let Some(image) = image.filter(|image| !self.images_here.contains(image)) {
                self.patch_login(&image, &mut new);
            }
            self.lose(index, lost);
            self.become_new(index, peer, new);
        }
    }

    fn patch_login(&mut self, image: &str, new: &mut NewStep) {
        let found = self
            .roles
            .logins
            .iter()
            .find(|login| login.is_for(image))
            .cloned();
        if let Some((user, secret)) = found.as_ref().and_then(|login| login.user.clone()) {
            self.plan
                .replaced
                .extend(found.as_ref().map(|login| login.step));
            new.set("registry-username", user);
            new.set("registry-password", secret);
            if found
                .as_ref()
                .is_some_and(crate::registry::Login::is_own_token)
            {
                self.plan.permit("packages", "read");
            }
        }
    }
}

// A file of results, and not the directory of some.
fn is_file(path: &str) -> bool {
    let extension = std::path::Path::new(path).extension();
    extension
        .is_some_and(|text| text.eq_ignore_ascii_case("sarif") || text.eq_ignore_ascii_case("json"))
}

fn same_file(one: &str, other: &str) -> bool {
    let plain = |path: &str| {
        let path = path
            .trim()
            .strip_prefix("${{ github.workspace }}/")
            .unwrap_or(path.trim());
        path.trim_start_matches("./").to_owned()
    };
    plain(one) == plain(other)
}

/// What remains of a condition of a step that runs also after a failure; `None` if nothing does.
fn condition(text: &str) -> Option<String> {
    let text = expression(text).unwrap_or(text).trim();
    let parts = text.split("&&").map(str::trim);
    let runs_always = [
        "always()",
        "!cancelled()",
        "(!cancelled())",
        "success() || failure()",
        "(success() || failure())",
        "failure() || success()",
        "success()",
        "",
    ];
    let rest: Vec<_> = parts
        .filter(|part| {
            !runs_always.contains(part) && !part.contains("hashFiles(") && !part.contains("steps.")
        })
        .collect();
    (!rest.is_empty()).then(|| rest.join(" && "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_without_its_status() {
        let table = [
            ("always()", None),
            ("${{ always() }}", None),
            ("success() || failure()", None),
            (
                "always() && github.ref == 'refs/heads/main'",
                Some("github.ref == 'refs/heads/main'"),
            ),
            ("always() && hashFiles('a.sarif') != ''", None),
            (
                "github.event_name == 'push'",
                Some("github.event_name == 'push'"),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(condition(text).as_deref(), expected, "{text}");
        }
    }
}
