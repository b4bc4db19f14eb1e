"""Command-line options made from the settings, so that each is written once.

`@with_settings` gives a command one option for every field of `config.Settings` and hands it the finished
`Settings`: the file of `--config` first, the options given laid over it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from clipomaly.config import load_settings, setting_fields

__all__ = ["SETTINGS_PAGE", "with_settings"]

SETTINGS_PAGE = "All settings, as options and as keys of the file for --config: docs/settings.md"
"""Stands at the end of the help of every command that takes them."""

_PANELS = {
    "": "What to run",
    "encoder": "Encoder",
    "unknown": "Stage 1: unknown pixels",
    "regions": "Regions",
    "naming": "Stage 2: names",
    "segment": "Stage 3: segmentation over known and new names",
    "vl4ad": "Method vl4ad",
    "anomalyclip": "Method anomalyclip",
    "flowclas": "Method flowclas",
}


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Replace the command's `settings` parameter by `--config` and one option a setting."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name != "settings"]
    config = inspect.Parameter(
        "config",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            Path | None, typer.Option(help="Settings as a TOML file; options given here go first.")
        ],
    )
    options = _options()
    flags = [option.name for option in options]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + [config, *options]

    @functools.wraps(command)
    def wrapped(**kwargs: Any) -> Any:
        given = {flag: kwargs.pop(flag) for flag in flags}
        overrides = {flag: value for flag, value in given.items() if value is not None}
        settings = load_settings(kwargs.pop("config"), overrides)
        return command(**kwargs, settings=settings)

    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


@functools.cache
def _options() -> tuple[inspect.Parameter, ...]:
    """One a setting, the same for every command."""
    return tuple(map(_parameter, setting_fields()))


def _parameter(row: tuple[str, str, Any, Any]) -> inspect.Parameter:
    flag, group, f, kind = row
    base: Any = next((k for k in (int, float) if k is kind or k in getattr(kind, "__args__", ())), str)
    if f.metadata["choices"]:
        base = Literal[f.metadata["choices"]]
    # Unescaped, [default: …] is markup and vanishes.
    default = "" if f.default is None else f"  \\[default: {f.default}]"
    option = typer.Option(
        help=f.metadata["help"] + default, rich_help_panel=_PANELS[group], show_default=False
    )
    return inspect.Parameter(
        flag, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[base | None, option]
    )
