"""The commands, snippets, keys and links of the documents that users read first."""

import argparse
import ast
import importlib
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from detectron2.config import get_cfg
from detectron2.config.keys import has_key

REPO = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "docs/getting_started.md", "docs/train_your_own_data.md", "datasets/README.md")
PLACEHOLDERS = {"X", "CONFIG"}
PROGRAMS = ("python", "make", "dev/")
SYSTEM_COMMANDS = {"pip", "git"}


def fenced(language: str) -> Iterator[tuple[str, str]]:
    """(document, text) of the fenced blocks; one without a language that begins with a command is of the shell."""
    for document in DOCUMENTS:
        blocks = re.findall(r"^```(\w*)\n(.*?)^```", (REPO / document).read_text(), re.MULTILINE | re.DOTALL)
        for name, text in blocks:
            if (name or ("bash" if text.startswith(PROGRAMS) else "")) == language:
                yield document, text


def shell_commands() -> Iterator[tuple[str, str]]:
    """(document, command) of the shell blocks and of ``python ...`` between backticks."""
    for document, text in fenced("bash"):
        for line in text.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield document, shlex.join(words)
    for document in DOCUMENTS:
        yield from ((document, command) for command in re.findall(r"`(python [^`\n]+)`", (REPO / document).read_text()))


COMMANDS = sorted(set(shell_commands()))


class Parsed(Exception):
    """Carries the arguments of a tool out of it, before it does anything."""


def parsed_arguments(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace | None:
    """What a ``python`` command line parses to; None for a script without arguments."""
    parse = argparse.ArgumentParser.parse_args

    def stop(self, *args, **kwargs):
        raise Parsed(parse(self, *args, **kwargs))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    if arguments[0] == "-m":
        arguments = arguments[1:]
        name, run = arguments[0], runpy.run_module
        package = REPO / name.replace(".", "/")
        source = package / "__main__.py" if package.is_dir() else package.with_suffix(".py")
    else:
        source, run = REPO / arguments[0], runpy.run_path
        name = str(source)
    assert source.is_file(), f"{source} does not exist"
    if "parse_args" not in source.read_text():
        return None
    monkeypatch.setattr(sys, "argv", arguments)
    try:
        run(name, run_name="__main__")
    except Parsed as parsed:
        return parsed.args[0]
    raise AssertionError(f"{source} did not parse its arguments")


def test_there_are_commands():
    documents = {document for document, _ in COMMANDS}
    assert documents >= set(DOCUMENTS[:3])
    assert any("train_net.py" in command for _, command in COMMANDS)


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_command(document, command, monkeypatch):
    words = shlex.split(command)
    while re.fullmatch(r"\w+=.*", words[0]):
        words.pop(0)
    program, *arguments = words
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (REPO / "Makefile").read_text(), re.MULTILINE)
        assert arguments[0] in targets
    elif program == "python" and arguments[0] == "-c":
        compile(arguments[1], document, "exec")
    elif program == "python":
        parsed = parsed_arguments(arguments, monkeypatch)
        if parsed is not None:
            check_config(parsed)
    elif "/" in program:
        assert (REPO / program).is_file()
    else:
        assert program in SYSTEM_COMMANDS, f"{document} uses a command this test does not know: {program}"


def check_config(arguments: argparse.Namespace) -> None:
    """The config file is there, and takes the overrides."""
    config = getattr(arguments, "config_file", "")
    cfg = get_cfg()
    if config and config not in PLACEHOLDERS:
        cfg.merge_from_file(str(REPO / config))
    overrides = getattr(arguments, "opts", [])
    assert isinstance(overrides, list)
    cfg.merge_from_list(overrides)


@pytest.mark.parametrize(("document", "text"), list(fenced("python")))
def test_python_snippet(document, text):
    tree = ast.parse(text)
    compile(tree, document, "exec")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_keys_and_links(document):
    text = (REPO / document).read_text()
    cfg = get_cfg()
    for key in re.findall(r"`([A-Z]\w*(?:\.[A-Z]\w*)+)[ `]", text):
        if key.isupper():
            assert has_key(cfg, key) or has_key(cfg, f"MODEL.{key}"), f"{key} is no config key"
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in link:
            assert ((REPO / document).parent / link).exists(), f"{link} does not exist"
