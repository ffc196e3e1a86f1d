//! The declaration of the action, in three places.

use std::path::Path;
use std::process::Command;

#[test]
fn action_yml_and_readme_are_generated_from_the_declaration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    testkit::contract::check(&ci::ACTION, &root);
    testkit::contract::check_network(&ci::ACTION, ci::NETWORK, &root);
}

#[test]
fn the_command_line_has_the_same_inputs() {
    let output = Command::new(env!("CARGO_BIN_EXE_ci"))
        .arg("--help")
        .output()
        .unwrap();
    // Lines are broken at the width of the terminal.
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let help = one_line(&String::from_utf8(output.stdout).unwrap());
    for input in (ci::ACTION.inputs)() {
        let option = format!("--{} ", input.name);
        assert!(
            help.contains(&option) && help.contains(&one_line(input.help)),
            "{help}"
        );
    }
}
