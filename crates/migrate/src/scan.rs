//! Steps of trivy-action, and of Trivy itself, as steps of `trivy-scan`.

use peers::Peer;

use crate::plan::{NewStep, by_table};
use crate::value::{expression, is_dynamic, is_true, list};
use crate::workflow::input;

const WORST_FIRST: [&str; 4] = ["critical", "high", "medium", "low"];

/// One scan, of one or more steps for the same target.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) new: NewStep,
    pub(crate) lost: Vec<String>,
    /// The SARIF file that it writes, as other steps name it.
    pub(crate) sarif: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) has_snapshot: bool,
    /// Files that are not written any more, or elsewhere, with the reason: a loss if something reads them.
    pub(crate) files: Vec<(String, String)>,
}

/// What a step scans, which decides whether two steps are one.
pub(crate) fn target(inputs: &[(String, String)]) -> (String, String) {
    let value = |name| input(inputs, name).unwrap_or_default();
    let kind = if value("scan-type").is_empty() {
        "image"
    } else {
        value("scan-type")
    };
    let what = ["input", "image-ref", "scan-ref"]
        .map(value)
        .into_iter()
        .find(|what| !what.is_empty());
    (kind.to_owned(), what.unwrap_or(".").to_owned())
}

/// The step with these inputs. Of several steps, `others` has the inputs of the further ones.
pub(crate) fn scan(
    peer: &'static Peer,
    inputs: &[(String, String)],
    others: &[Vec<(String, String)>],
    is_for_copa: bool,
) -> Scan {
    let mut scan = Scan {
        new: NewStep::new("trivy-scan"),
        lost: Vec::new(),
        sarif: None,
        image: None,
        has_snapshot: false,
        files: Vec::new(),
    };
    by_table(peer, inputs, &mut scan.new, &mut scan.lost);
    for other in others {
        by_table(peer, other, &mut NewStep::default(), &mut scan.lost);
        // What the first step does not have.
        for (name, _) in other
            .iter()
            .filter(|(name, _)| input(inputs, name).is_none())
        {
            if let Some(peers::Rule::Keep(target)) = peer.input(name).map(|mapping| mapping.rule)
                && let Some(value) = input(other, name)
            {
                scan.new.set(target, value);
            }
        }
    }
    if is_for_copa {
        // `copacetic-patch` chooses the packages itself.
        scan.lost.retain(|lost| !lost.starts_with("`vuln-type`"));
    }
    scan.target(inputs);
    scan.lists(inputs);
    let all: Vec<_> = std::iter::once(inputs)
        .chain(others.iter().map(Vec::as_slice))
        .collect();
    scan.gate(&all);
    for inputs in &all {
        scan.formats(inputs);
    }
    scan.lost.dedup();
    scan
}

impl Scan {
    fn target(&mut self, inputs: &[(String, String)]) {
        let value = |name| input(inputs, name);
        self.image = value("image-ref").map(ToOwned::to_owned);
        if let Some(file) = value("input") {
            self.new.replace("input", "scan-type", "archive");
            self.new.set("path", file);
            return;
        }
        match value("scan-type") {
            Some("repo" | "repository" | "filesystem") => {
                self.new.replace("scan-type", "scan-type", "fs");
            }
            Some(_) => self.new.keep("scan-type", "scan-type"),
            None => {}
        }
        // The path of an image, and the image of a path, are not used.
        if matches!(value("scan-type"), None | Some("image")) && value("image-ref").is_some() {
            self.new.inputs.retain(|input| input.name != "path");
        }
        if let ("sbom" | "fs" | "repo" | "config" | "rootfs", None, Some(image)) = (
            value("scan-type").unwrap_or("image"),
            value("scan-ref"),
            value("image-ref"),
        ) {
            let image = image.to_owned();
            self.image = None;
            self.new.replace("image-ref", "path", image);
            self.new.inputs.retain(|input| input.name != "image");
        }
    }

    fn lists(&mut self, inputs: &[(String, String)]) {
        if let Some(files) = input(inputs, "trivyignores") {
            match &list(files)[..] {
                [_] => self.new.keep("trivyignores", "ignore-file"),
                _ => self
                    .lost
                    .push("`trivyignores`: `ignore-file` is one file; join them".to_owned()),
            }
        }
        if let Some(directory) = input(inputs, "cache-dir") {
            let relative = directory
                .strip_prefix("${{ github.workspace }}/")
                .unwrap_or(directory);
            self.new.replace("cache-dir", "cache-directory", relative);
        }
        self.scanners(inputs);
    }

    fn scanners(&mut self, inputs: &[(String, String)]) {
        let Some(text) = input(inputs, "scanners") else {
            return;
        };
        if is_dynamic(text) {
            self.new.keep("scanners", "scanners");
            return;
        }
        let all = list(text);
        let is_config = |name: &&String| ["misconfig", "config"].contains(&name.as_str());
        let rest: Vec<_> = all
            .iter()
            .filter(|name| !is_config(name))
            .cloned()
            .collect();
        if rest.len() == all.len() {
            self.new.keep("scanners", "scanners");
            return;
        }
        let (kind, what) = target(inputs);
        let kind = if kind == "repo" {
            "fs".to_owned()
        } else {
            kind
        };
        if kind == "config" {
            return;
        }
        if kind == "image" || kind == "rootfs" {
            self.lost.push(
                "`scanners: misconfig`: the configuration of an image is not checked".to_owned(),
            );
        } else if rest.is_empty() {
            self.new.replace("scanners", "scan-type", "config");
            return;
        } else if what.contains(char::is_whitespace) && !is_dynamic(&what) {
            self.lost
                .push("`scanners: misconfig`: the path has blanks; write two steps".to_owned());
        } else {
            self.new
                .inputs
                .retain(|input| !["scan-type", "path"].contains(&input.name.as_str()));
            self.new
                .set("targets", format!("{kind} {what}\nconfig {what}\n"));
        }
        self.new.replace("scanners", "scanners", rest.join(","));
    }

    // Whether findings fail the step, and which are shown.
    fn gate(&mut self, all: &[&[(String, String)]]) {
        let mut shown: Option<String> = None;
        let mut is_complete = false;
        for inputs in all {
            let is_sarif = format(inputs) == "sarif";
            let limits = input(inputs, "limit-severities-for-sarif").is_some_and(is_true);
            let severity = input(inputs, "severity").filter(|_| !is_sarif || limits);
            match severity {
                Some(severity)
                    if !all_severities(severity)
                        && shown.as_deref().is_none_or(|shown| shown == severity) =>
                {
                    shown = Some(severity.to_owned());
                }
                _ => is_complete = true,
            }
            self.exit_code(inputs, severity);
        }
        match shown {
            Some(severity) if !is_complete => {
                self.new
                    .keep_or_set(all[0], "severity", severity.to_lowercase());
            }
            _ => self.new.inputs.retain(|input| input.name != "severity"),
        }
    }

    fn exit_code(&mut self, inputs: &[(String, String)], severity: Option<&str>) {
        let Some(code) = input(inputs, "exit-code").filter(|code| *code != "0") else {
            return;
        };
        let lowest = match severity {
            None => "low".to_owned(),
            Some(text) if is_dynamic(text) => {
                self.lost.push(format!("`exit-code`: which severity of `{text}` is the lowest is known only in the run; `fail-on` is `high`"));
                "high".to_owned()
            }
            Some(text) => self.lowest(text),
        };
        let fail_on = match expression(code) {
            Some(code) => format!("${{{{ ({code}) != 0 && '{lowest}' || 'none' }}}}"),
            None => lowest,
        };
        self.new
            .keep_or_set_old(inputs, "exit-code", "fail-on", fail_on);
        if input(inputs, "ignore-unfixed").is_some_and(is_true) {
            self.new.set("fail-on-fixable-only", "true");
        }
    }

    fn lowest(&mut self, text: &str) -> String {
        let names: Vec<_> = list(text).iter().map(|name| name.to_lowercase()).collect();
        let last = WORST_FIRST
            .iter()
            .rposition(|name| names.iter().any(|other| other == name));
        let Some(last) = last else {
            self.lost.push(format!(
                "`exit-code`: `{text}` alone can't fail the step; `fail-on` is `low`"
            ));
            return "low".to_owned();
        };
        let missing: Vec<_> = WORST_FIRST[..last]
            .iter()
            .filter(|name| !names.iter().any(|other| other == *name))
            .collect();
        if !missing.is_empty() {
            self.lost.push(format!(
                "`severity: {text}`: the gate counts every severity from `{}` up",
                WORST_FIRST[last]
            ));
        }
        WORST_FIRST[last].to_owned()
    }

    fn formats(&mut self, inputs: &[(String, String)]) {
        let output = input(inputs, "output");
        let is_used = |output: Option<&str>| {
            output
                .filter(|file| *file != "/dev/stdout")
                .map(ToOwned::to_owned)
        };
        match (format(inputs), is_used(output)) {
            ("sarif", file) => {
                let file = file.unwrap_or_else(|| "trivy-results.sarif".to_owned());
                self.file(inputs, "sarif-file", &file);
                self.sarif = Some(file);
            }
            ("table", Some(file)) => self.file(inputs, "table-file", &file),
            ("json", Some(file)) => self.file(inputs, "report-file", &file),
            ("github", file) => {
                self.new.set("dependency-snapshot", "true");
                self.has_snapshot = true;
                self.files.extend(file.map(|file| (file, "`output` of `format: github`: the packages are submitted and not written to a file".to_owned())));
            }
            ("cyclonedx", file) => self.sbom(inputs, "cyclonedx", file.as_deref()),
            ("spdx-json", file) => self.sbom(inputs, "spdx", file.as_deref()),
            ("table" | "json", None) | ("template", _) => {}
            (other, _) if is_dynamic(other) => {
                self.lost.push(format!("`format: {other}`: which one is known only in the run; `sarif-file`, `report-file`, `table-file` and `sbom` write any"));
            }
            (other, _) => self.lost.push(format!(
                "`format: {other}`: `trivy convert` makes it from `report-file`"
            )),
        }
    }

    fn file(&mut self, inputs: &[(String, String)], name: &str, file: &str) {
        let relative = file
            .strip_prefix("${{ github.workspace }}/")
            .or(file.strip_prefix("./"))
            .unwrap_or(file);
        self.new
            .keep_or_set_old(inputs, "output", name, relative.to_owned());
    }

    fn sbom(&mut self, inputs: &[(String, String)], format: &str, file: Option<&str>) {
        self.new
            .keep_or_set_old(inputs, "format", "sbom", format.to_owned());
        if let Some(file) = file {
            let reason = format!(
                "`output: {file}`: the SBOM is next to `report-file`; the output `sbom-file` has its path"
            );
            self.files.push((file.to_owned(), reason));
        }
    }
}

impl NewStep {
    fn keep_or_set(&mut self, inputs: &[(String, String)], name: &str, value: String) {
        self.keep_or_set_old(inputs, name, name, value);
    }

    // In the place of an old input, if the step has it and nothing else is there.
    fn keep_or_set_old(
        &mut self,
        inputs: &[(String, String)],
        old: &str,
        name: &str,
        value: String,
    ) {
        let is_taken = self
            .inputs
            .iter()
            .any(|input| input.old.as_deref() == Some(old));
        match input(inputs, old) {
            Some(text) if !is_taken && text == value => self.keep(old, name),
            Some(_) if !is_taken => self.replace(old, name, value),
            _ => self.set(name, value),
        }
    }
}

/// The format that a step writes: SARIF also by Trivy's template of it.
pub(crate) fn format(inputs: &[(String, String)]) -> &str {
    match input(inputs, "format") {
        Some("template")
            if input(inputs, "template").is_some_and(|text| text.ends_with("sarif.tpl")) =>
        {
            "sarif"
        }
        Some(format) => format,
        None => "table",
    }
}

fn all_severities(text: &str) -> bool {
    let names = list(text);
    WORST_FIRST
        .iter()
        .all(|name| names.iter().any(|other| other.eq_ignore_ascii_case(name)))
}

/// The inputs of trivy-action that a command of Trivy has.
pub(crate) fn from_command(words: &[String]) -> Result<Vec<(String, String)>, String> {
    let kind = words.get(1).map(String::as_str).unwrap_or_default();
    let scan_type = match kind {
        "image" | "i" => "image",
        "fs" | "filesystem" => "fs",
        "repo" | "repository" => "repo",
        "config" | "rootfs" | "sbom" => kind,
        _ => return Err(format!("`trivy {kind}` is not a scan")),
    };
    let switches = [
        "ignore-unfixed",
        "no-progress",
        "quiet",
        "list-all-pkgs",
        "skip-db-update",
        "debug",
    ];
    let short = [
        ("-s", "severity"),
        ("-f", "format"),
        ("-o", "output"),
        ("-q", "quiet"),
        ("-c", "config"),
        ("-i", "input"),
        ("-t", "template"),
    ];
    let arguments = crate::shell::Arguments::parse(&words[2..], &switches, &short);
    let mut inputs = vec![("scan-type".to_owned(), scan_type.to_owned())];
    for (option, value) in &arguments.options {
        let name = match option.as_str() {
            "severity" | "exit-code" | "format" | "output" | "timeout" | "skip-dirs"
            | "skip-files" | "cache-dir" | "input" | "template" | "scanners" | "ignore-policy" => {
                option
            }
            "vuln-type" | "pkg-types" => "vuln-type",
            "security-checks" => "scanners",
            "ignorefile" => "trivyignores",
            "config" => "trivy-config",
            "ignore-unfixed" => {
                inputs.push((option.clone(), "true".to_owned()));
                continue;
            }
            "no-progress" | "quiet" | "list-all-pkgs" | "debug" => continue,
            _ => return Err(format!("`--{option}` is not known")),
        };
        match inputs.iter_mut().find(|(other, _)| other == name) {
            Some((_, values)) => *values = format!("{values},{value}"),
            None => inputs.push((name.to_owned(), value.clone())),
        }
    }
    match &arguments.operands[..] {
        [one] if scan_type == "image" => inputs.push(("image-ref".to_owned(), one.clone())),
        [one] => inputs.push(("scan-ref".to_owned(), one.clone())),
        [] if input(&inputs, "input").is_some() => {}
        _ => return Err("it has no target, or several".to_owned()),
    }
    Ok(inputs)
}
