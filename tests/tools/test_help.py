"""The help of every command fits a terminal of 80 columns, in whole sentences, and explains every option."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import click
import pytest

import detector.cli
import evaluation.cli
import tools.__main__
from mozcodec._cli import _parser

WIDTH = 80


def commands(command: click.Command, above: click.Context | None, name: str) -> Iterator[click.Context]:
    """Yield a context for *command* and for every command below it."""
    context = click.Context(command, above, info_name=name, terminal_width=WIDTH, help_option_names=["-h", "--help"])
    yield context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from commands(found, context, below)


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield *parser* and the parsers of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


CONTEXTS = [
    *commands(detector.cli.cli, None, "detector"),
    *commands(evaluation.cli.main, None, "evaluation"),
    *commands(tools.__main__.cli, None, "python -m tools"),
]
PARSERS = list(parsers(_parser()))


def assert_readable(text: str) -> None:
    """Assert that no line is too long or cut."""
    lines = text.splitlines()
    # a choice of many values stands in one piece: click does not break it
    assert [line for line in lines if len(line) > WIDTH and not line.lstrip().startswith("--")] == []
    assert [line for line in lines if line.endswith("...") and not line.lstrip().startswith(("Usage:", "-"))] == []


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.command_path)
def test_help_of_click_is_readable(context: click.Context) -> None:
    assert_readable(context.get_help())
    for option in context.command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert (option.help or "").partition("[default")[0].strip(), f"{option.opts[0]} has no help"


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_help_of_mozcodec_is_readable(parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    usage, _, rest = parser.format_help().partition("\n\n")
    assert_readable(rest)
    assert [line for line in usage.splitlines() if len(line) > WIDTH] == []
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            assert action.help, f"{action.option_strings or action.dest} has no help"
