//! Tools that render files of the checkout: they find no other program and no other machine.

use actions_toolkit::Env;
use tool::Tool;

/// Where nothing listens: these tools have no reason to connect to anything.
const NO_PROXY_THERE: &str = "http://127.0.0.1:9";

/// The tool `name` of `PATH`.
pub(super) fn new(env: &Env, name: &str) -> Tool {
    let path = env.get("PATH").unwrap_or_default();
    let mut programs = std::env::split_paths(path).map(|directory| directory.join(name));
    let program = programs.find(|program| program.is_file());
    let tool = Tool::new(program.unwrap_or_else(|| name.into()), env);
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
    let tool = proxies
        .into_iter()
        .fold(tool, |tool, name| tool.env(name, NO_PROXY_THERE));
    let tool = tool.env("NO_PROXY", "").env("no_proxy", "");
    tool.env("PATH", "/nonexistent")
}
