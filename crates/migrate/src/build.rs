//! Steps of build-push-action, and `docker build`, as steps of `ci`.

use peers::Peer;

use crate::plan::{NewStep, by_table};
use crate::shell::{Arguments, Command};
use crate::value::{expression, is_dynamic, is_true, lines, list};
use crate::workflow::{Step, input};

/// Types of outputs that are files of the workspace.
const FILES: &[&str] = &["oci", "local", "tar"];

/// A build as a step of `ci`.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) new: NewStep,
    pub(crate) lost: Vec<String>,
    /// The names of the image, as far as they are known.
    pub(crate) names: Vec<String>,
    pub(crate) pushes: bool,
}

/// The step with these inputs, or why it can't be one. `metadata` are the steps of docker/metadata-action before it.
pub(crate) fn build(
    peer: &'static Peer,
    inputs: &[(String, String)],
    metadata: &[&Step],
) -> Result<Build, String> {
    if input(inputs, "outputs").is_some_and(|outputs| outputs.contains("push-by-digest")) {
        return Err(
            "each platform is pushed by digest and joined in another job; `ci` pushes one image"
                .to_owned(),
        );
    }
    let mut build = Build {
        new: NewStep::new("ci"),
        lost: Vec::new(),
        names: Vec::new(),
        pushes: input(inputs, "push").is_some_and(|push| is_true(push) || is_dynamic(push)),
    };
    by_table(peer, inputs, &mut build.new, &mut build.lost);
    build.context(inputs)?;
    build.names(inputs, metadata);
    build.lines_of_type(inputs, "cache-from", &["registry", "gha", "local"]);
    build.lines_of_type(inputs, "cache-to", &["inline", "registry", "gha", "local"]);
    build.outputs(inputs);
    build.secrets(inputs);
    Ok(build)
}

impl Build {
    fn context(&mut self, inputs: &[(String, String)]) -> Result<(), String> {
        let given = input(inputs, "context");
        let path = match given {
            None | Some("{{defaultContext}}") => {
                // The default is the repository by Git, without a checkout.
                self.new.needs_checkout = true;
                None
            }
            Some(text) => match text.strip_prefix("{{defaultContext}}:") {
                Some(directory) => {
                    self.new.needs_checkout = true;
                    Some(directory)
                }
                None if ["https://", "http://", "git@", "git://"]
                    .iter()
                    .any(|start| text.starts_with(start)) =>
                {
                    return Err(format!(
                        "the context `{text}` is a URL; check it out, and use the directory"
                    ));
                }
                None => Some(text),
            },
        };
        match (given, path) {
            (Some(text), Some(path)) if text == path => self.new.keep("context", "context"),
            (Some(_), Some(path)) => self.new.replace("context", "context", path),
            _ => {}
        }
        if let Some(file) = input(inputs, "file") {
            self.dockerfile(file, path.unwrap_or("."));
        }
        Ok(())
    }

    // `file` is relative to the workspace there, and to the context here.
    fn dockerfile(&mut self, file: &str, context: &str) {
        let plain = |path: &str| {
            let path = path
                .strip_prefix("${{ github.workspace }}/")
                .unwrap_or(path);
            path.trim_start_matches("./")
                .trim_end_matches('/')
                .to_owned()
        };
        let (plain_file, directory) = (plain(file), plain(context));
        if directory.is_empty() || directory == "." || directory == "${{ github.workspace }}" {
            self.new.keep("file", "dockerfile");
        } else if let Some(inside) = plain_file.strip_prefix(&format!("{directory}/")) {
            self.new.replace("file", "dockerfile", inside);
        } else if is_dynamic(file) || is_dynamic(context) {
            self.new.keep("file", "dockerfile");
            self.lost
                .push("`file`: it is relative to `context` here; check the value".to_owned());
        } else {
            self.new.replace(
                "file",
                "dockerfile",
                from_directory(&plain_file, &directory),
            );
        }
    }

    fn names(&mut self, inputs: &[(String, String)], metadata: &[&Step]) {
        let Some(tags) = input(inputs, "tags") else {
            self.new.set("image", "app:${{ github.sha }}");
            return;
        };
        let is_of = |step: &&&Step| {
            let id = step.id.as_deref().unwrap_or_default();
            !id.is_empty() && tags.contains(&format!("steps.{id}.outputs.tags"))
        };
        if let Some(step) = metadata.iter().find(is_of) {
            self.of_metadata(step);
            self.new.keep("tags", "tags");
            return;
        }
        let names: Vec<_> = list(tags)
            .into_iter()
            .filter(|name| !name.starts_with('#'))
            .collect();
        let Some((first, rest)) = names.split_first() else {
            return;
        };
        let name = expression(first).unwrap_or_default().to_lowercase();
        if rest.is_empty() && name.ends_with("tags") {
            self.lost.push(format!("`tags: {first}`: `image` is one name; if it has several, write the further ones in `tags`"));
        }
        if rest.is_empty() && tags == first {
            self.new.keep("tags", "image");
        } else {
            self.new.replace("tags", "image", first.clone());
        }
        if !rest.is_empty() {
            self.new.set("tags", crate::value::joined(rest));
        }
        self.names = names;
    }

    fn of_metadata(&mut self, step: &Step) {
        let images = lines(step.input("images").unwrap_or_default());
        let id = step.id.as_deref().unwrap_or_default();
        match &images[..] {
            [first, ..]
                if !is_dynamic(first)
                    && !first.contains([',', '='])
                    && first.to_lowercase() == *first =>
            {
                self.new.set("image", first.clone());
            }
            // Its name in lower case, as a registry requires.
            _ => self.new.set(
                "image",
                format!("${{{{ fromJSON(steps.{id}.outputs.json).tags[0] }}}}"),
            ),
        }
        self.names = images;
    }

    // Lines whose type is known stay as they are.
    fn lines_of_type(&mut self, inputs: &[(String, String)], name: &'static str, known: &[&str]) {
        let Some(value) = input(inputs, name) else {
            return;
        };
        let (kept, lost): (Vec<_>, Vec<_>) = lines(value).into_iter().partition(|line| {
            let given = line.split(',').find_map(|part| part.strip_prefix("type="));
            given.map_or(!line.contains('='), |given| {
                known.contains(&given) || is_dynamic(given)
            })
        });
        for line in &lost {
            let known = known.join("`, `");
            self.lost
                .push(format!("`{name}: {line}`: the types are `{known}`"));
        }
        if lost.is_empty() {
            self.new.keep(name, name);
        } else if !kept.is_empty() {
            self.new.replace(name, name, kept.join("\n"));
        }
    }

    // The image is loaded into Docker in any case, and pushed with `push`.
    fn outputs(&mut self, inputs: &[(String, String)]) {
        let is_image = |line: &String| {
            let parts: Vec<_> = line.split(',').collect();
            ["type=docker", "type=image", "type=registry"].contains(&parts[0])
                && parts[1..].iter().all(|part| *part == "push=true")
        };
        let Some(value) = input(inputs, "outputs") else {
            return;
        };
        let (images, files): (Vec<_>, Vec<_>) = lines(value).into_iter().partition(is_image);
        let pushes = |line: &String| line.contains("push=true") || line == "type=registry";
        if images.iter().any(pushes) && !self.pushes {
            self.new.replace("outputs", "push", "true");
            self.pushes = true;
        }
        if images.is_empty() {
            self.lines_of_type(inputs, "outputs", FILES);
        } else if !files.is_empty() {
            self.new.replace("outputs", "outputs", files.join("\n"));
        }
    }

    fn secrets(&mut self, inputs: &[(String, String)]) {
        let from_env = lines(input(inputs, "secret-envs").unwrap_or_default());
        let from_env: Vec<_> = from_env
            .iter()
            .filter_map(|line| line.split_once('='))
            .map(|(id, variable)| format!("{id}=${{{{ env.{variable} }}}}"))
            .collect();
        if !from_env.is_empty() {
            let own = input(inputs, "secrets")
                .map(|own| format!("{own}\n"))
                .unwrap_or_default();
            self.new
                .inputs
                .retain(|input| input.name != "build-secrets");
            let old = if own.is_empty() {
                "secret-envs"
            } else {
                "secrets"
            };
            self.new
                .replace(old, "build-secrets", own + &from_env.join("\n") + "\n");
        }
    }
}

/// The inputs of build-push-action that commands of Docker have: one build, its further names, and its pushes.
pub(crate) fn from_commands(commands: &[Command]) -> Result<Vec<(String, String)>, String> {
    let mut inputs: Vec<(String, String)> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut pushed = Vec::new();
    for command in commands {
        let words: Vec<_> = command.iter().map(String::as_str).collect();
        match words[..] {
            ["docker", "build", ..] if inputs.is_empty() => inputs = of_build(&command[2..])?,
            ["docker", "buildx" | "image", "build", ..] if inputs.is_empty() => {
                inputs = of_build(&command[3..])?;
            }
            ["docker", "tag", from, to] if names.contains(&from.to_owned()) => {
                names.push(to.to_owned());
            }
            ["docker", "push", name] => pushed.push(name.to_owned()),
            _ => {
                return Err(format!(
                    "`{}` is not part of one build",
                    words.iter().take(2).copied().collect::<Vec<_>>().join(" ")
                ));
            }
        }
        if names.is_empty() {
            names = lines(input(&inputs, "tags").unwrap_or_default());
        }
    }
    if inputs.is_empty() {
        return Err("it has no build".to_owned());
    }
    inputs.retain(|(name, _)| name != "tags");
    inputs.push(("tags".to_owned(), names.join("\n")));
    if pushed.is_empty() {
        return Ok(inputs);
    }
    if names.iter().any(|name| !pushed.contains(name))
        || pushed.iter().any(|name| !names.contains(name))
    {
        return Err("it pushes other names than it builds".to_owned());
    }
    inputs.push(("push".to_owned(), "true".to_owned()));
    Ok(inputs)
}

fn of_build(words: &[String]) -> Result<Vec<(String, String)>, String> {
    let switches = ["no-cache", "pull", "push", "load", "rm", "quiet"];
    let short = [("-t", "tag"), ("-f", "file"), ("-q", "quiet")];
    let arguments = Arguments::parse(words, &switches, &short);
    let mut inputs: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: &str| match inputs.iter_mut().find(|(other, _)| other == name)
    {
        Some((_, values)) => *values = format!("{values}\n{value}"),
        None => inputs.push((name.to_owned(), value.to_owned())),
    };
    let [context] = &arguments.operands[..] else {
        return Err("it has no context, or several".to_owned());
    };
    add("context", context);
    for (option, value) in &arguments.options {
        match option.as_str() {
            "tag" => add("tags", value),
            "file" | "target" | "network" | "ssh" | "sbom" | "provenance" | "cache-from"
            | "cache-to" => add(option, value),
            "build-arg" => add("build-args", value),
            "label" => add("labels", value),
            "platform" => add("platforms", value),
            "no-cache" | "push" => add(option, "true"),
            // The image is loaded, base images are resolved, and the log is plain.
            "pull" | "load" | "rm" | "quiet" | "progress" => {}
            "secret" => {
                let part = |name: &str| {
                    value
                        .split(',')
                        .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
                };
                match (part("id"), part("env"), part("src")) {
                    (Some(id), Some(variable), _) => {
                        add("secret-envs", &format!("{id}={variable}"));
                    }
                    (Some(id), None, Some(file)) => add("secret-files", &format!("{id}={file}")),
                    _ => return Err("its secret is not known".to_owned()),
                }
            }
            _ => return Err(format!("`--{option}` is not known")),
        }
    }
    if !arguments.options.iter().any(|(name, _)| name == "tag") {
        return Err("it has no `--tag`".to_owned());
    }
    Ok(inputs)
}

/// The tests of an image that `docker run` starts.
#[derive(Debug)]
pub(crate) struct TestRun {
    pub(crate) image: String,
    pub(crate) command: String,
    pub(crate) variables: Vec<String>,
    /// Directories of the runner, and where they are in the container.
    pub(crate) mounts: Vec<(String, String)>,
}

/// `docker run IMAGE COMMAND`, if it is all that a step does.
pub(crate) fn test_run(commands: &[Command]) -> Option<TestRun> {
    let ran: Vec<_> = commands
        .iter()
        .filter(|command| command.first().is_none_or(|first| first != "mkdir"))
        .collect();
    let [command] = ran[..] else {
        return None;
    };
    let ["docker", "run", ..] = command.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        return None;
    };
    let words = &command[2..];
    let takes_value = [
        "-v",
        "--volume",
        "-e",
        "--env",
        "--name",
        "-w",
        "--workdir",
        "-u",
        "--user",
        "--network",
        "--mount",
    ];
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-')) {
        at += if takes_value.contains(&word.as_str()) {
            2
        } else {
            1
        };
    }
    let (options, rest) = words.split_at_checked(at)?;
    let (image, command) = rest.split_first()?;
    let options = Arguments::parse(
        options,
        &["rm", "i", "t", "it"],
        &[
            ("-v", "volume"),
            ("-e", "env"),
            ("-w", "workdir"),
            ("-u", "user"),
        ],
    );
    let is_known = |name: &str| ["rm", "volume", "env", "name", "i", "t", "it"].contains(&name);
    if command.is_empty() || !options.options.iter().all(|(name, _)| is_known(name)) {
        return None;
    }
    let quote = |word: &String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+${} ".contains(c);
        let is_word = word.chars().all(is_plain) && (!word.contains(' ') || is_dynamic(word));
        if is_word {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    let command = match command {
        [shell, flag, script]
            if ["sh", "bash", "/bin/sh", "/bin/bash"].contains(&shell.as_str())
                && flag.ends_with('c') =>
        {
            script.clone()
        }
        words => words.iter().map(quote).collect::<Vec<_>>().join(" "),
    };
    let mounts = options.all("volume");
    let mount = |mount: &String| {
        let mut parts = mount.split(':');
        Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
    };
    Some(TestRun {
        image: image.clone(),
        command,
        variables: options.all("env"),
        mounts: mounts.iter().filter_map(mount).collect(),
    })
}

// The path of `file` from `directory`, both relative to the workspace.
fn from_directory(file: &str, directory: &str) -> String {
    let (file, directory): (Vec<_>, Vec<_>) =
        (file.split('/').collect(), directory.split('/').collect());
    let both = file.iter().zip(&directory);
    let common = both.take_while(|(one, other)| one == other).count();
    let up = directory[common..].iter().map(|_| "..");
    let path: Vec<_> = up.chain(file[common..].iter().copied()).collect();
    path.join("/")
}
