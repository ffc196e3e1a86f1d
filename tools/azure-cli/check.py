"""Whether the Azure CLI knows every `az` command of a document, with its options and their values.

usage: check.py DOCUMENT...

Nothing is sent anywhere: each command goes through the CLI's own parser, and no further.
"""

import re
import shlex
import sys

from azure.cli.core import get_default_cli

CLI = get_default_cli()


def commands(document):
    """The `az` commands in the shell blocks of a document, those in `$(…)` too."""
    for block in re.findall(r"^```sh\n(.*?)^```", document, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            for inner in re.findall(r"\$\((az [^()]*)\)", line):
                yield inner
            if line.startswith("az "):
                yield line


def parse(command):
    """Parse one command; the parser ends the program with a message if it does not know it."""
    words = shlex.split(command)[1:]
    invocation = CLI.invocation_cls(
        cli_ctx=CLI, parser_cls=CLI.parser_cls, commands_loader_cls=CLI.commands_loader_cls, help_cls=CLI.help_cls
    )
    CLI.invocation = invocation
    invocation.data["command_string"] = " ".join(words)
    loader = invocation.commands_loader
    loader.load_command_table(words)
    known = [name for name in loader.command_table if words[: len(name.split())] == name.split()]
    if not known:
        sys.exit(f"the Azure CLI has no such command: {command}")
    name = max(known, key=len)
    loader.command_name = name
    loader.command_table = {name: loader.command_table[name]}
    loader.load_arguments(name)
    invocation.parser.load_command_table(loader)
    invocation.parser.parse_args(words)
    return name


def main():
    """Parse the commands of every document that is named."""
    count = 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as document:
            for command in commands(document.read()):
                print(f"{path}: az {parse(command)}")
                count += 1
    if count == 0:
        sys.exit("no `az` command in these documents")
    print(f"{count} commands are known to the Azure CLI")


main()
