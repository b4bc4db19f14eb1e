"""The command line. Commands are thin: they read options, call the library, and print.

One module a group of commands; options that many share stand in `options`, those made from the settings in
`settings`; the work of a command is in `clipomaly.commands`. Nothing heavy is imported until a command runs,
so `clipomaly --help` stays quick.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from clipomaly.cli import evaluate, export, findings, lists, segment, stores, taxonomy, to_onnx, train, world
from clipomaly.errors import ClipomalyError, MissingExtra

__all__ = ["app", "main"]

app = typer.Typer(
    name="clipomaly",
    help="Find what your classes do not explain in driving pictures, and name it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_OF_STORES = ("lancedb", "pyarrow", "sqlalchemy")
"""Packages that modules of stores import at once."""


def main() -> None:
    """Run the command line; mistakes are one line on stderr and exit code 1."""
    if sys.argv[1:] in ([], ["--help"]):
        _without_options(app)
    try:
        app()
    except ClipomalyError as error:
        sys.exit(f"clipomaly: {error}")
    except ModuleNotFoundError as error:
        if error.name not in _OF_STORES:
            raise
        sys.exit(f"clipomaly: {MissingExtra(error.name, 'store', 'keeping results in a store')}")
    except BrokenPipeError:
        sys.exit(141)
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as ended:
        if ended.code == 130:  # what typer makes of Ctrl+C, without a word
            _stopped()
        raise


def _stopped() -> NoReturn:
    how = ""
    if sys.argv[1:2] in (["segment"], ["evaluate"]):
        how = "; finished frames are written, --resume goes on from here"
    elif sys.argv[1:3] in (["world", "render"], ["world", "portraits"]):
        how = "; what is finished is written, the same line goes on from here"
    print(f"clipomaly: stopped{how}", file=sys.stderr)
    sys.exit(130)


def _without_options(group: typer.Typer) -> None:
    """The list of commands shows none of their options: do without building hundreds of them."""
    for info in group.registered_commands:
        doc = info.callback.__doc__ if info.callback else None
        name = info.name or (info.callback.__name__.replace("_", "-") if info.callback else None)
        info.name, info.callback = name, lambda: None
        info.callback.__doc__ = doc
    for sub in group.registered_groups:
        if sub.typer_instance is not None:
            _without_options(sub.typer_instance)


def _version(show: bool) -> None:
    if show:
        from clipomaly._version import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    """Find what your classes do not explain in driving pictures, and name it."""
    _ = version


# In the order in which --help shows them.
for _part in (segment, lists, evaluate, export, to_onnx, world, train, findings, taxonomy, stores):
    _part.add_commands(app)
