"""Documentation cannot fall behind: the settings page is the one made from the code, every command, option,
method and vocabulary is documented, and links lead somewhere.

    python tools/check_docs.py            say what is missing
    python tools/check_docs.py --write    write docs/settings.md and the packaged card of mini anew
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from clipomaly.cli import app
from clipomaly.config import setting_fields
from clipomaly.export.annotations.table import FORMATS
from clipomaly.methods.table import METHODS
from clipomaly.vocabulary import list_vocabularies

ROOT = Path(__file__).resolve().parent.parent


SETTINGS = ROOT / "docs" / "settings.md"
CARD = ROOT / "docs" / "models" / "mini.md"
#: Where `clipomaly models mini --card` finds it in an installation without docs/.
PACKAGED_CARD = ROOT / "src" / "clipomaly" / "encoders" / "mini" / "card.md"


def packaged_card(text: str) -> str:
    """The card without its pictures, their captions and links between pages, which lead nowhere there.

    >>> packaged_card("[all](../results.md#x)\\n\\n![four](a.jpg)\\n\\n*Four.\\nRed.*\\n\\nAnd *so* on\\n")
    'all (docs/results.md)\\n\\nAnd *so* on\\n'
    """
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)\n\n(\*[^*]+\*\n\n)?", "", text)
    text = re.sub(r"\[([^\]]+)\]\(\.\./([^)#]+)(#[^)]*)?\)", r"\1 (docs/\2)", text)
    return re.sub(r"\[([^\]]+)\]\(#[^)]*\)", r"\1", text)


def settings_page() -> str:
    """Every setting, from the one place where it is written."""
    lines = [
        "# Settings",
        "",
        "Each is an option of the command line and a key of the TOML file for `--config`, under its group.",
        "There a dash becomes `_`; an option on the command line goes before the file:",
        "",
        "```toml",
        'vocabulary = "airside"',
        "[encoder]",
        "long_side = 1024",
        "[unknown]",
        'threshold = "otsu"',
        "```",
        "",
        "No default: nothing is set, and the text says what happens then. This page is made by",
        "`tools/check_docs.py --write` from `config.py`.",
    ]
    group = None
    for flag, owner, f, _ in setting_fields():
        if owner != group:
            group = owner
            lines += ["", f"## {f'[{owner}]' if owner else 'Top of the file'}", ""]
            lines += ["| option | default | choices | what it does |", "|---|---|---|---|"]
        choices = ", ".join(f"`{c}`" for c in f.metadata["choices"])
        default = "" if f.default is None else f"`{f.default}`"
        lines.append(f"| `--{flag.replace('_', '-')}` | {default} | {choices} | {f.metadata['help']} |")
    return "\n".join(lines) + "\n"


def anchors(text: str) -> set[str]:
    """The places that links into a page lead to: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


def options(command: Any, path: str = "clipomaly") -> Iterator[tuple[str, list[str]]]:
    """Every option as its command and its ways of writing: `--sheet`, `--no-sheet`."""
    for name, sub in getattr(command, "commands", {}).items():
        yield from options(sub, f"{path} {name}")
    for parameter in command.params:
        flags = [o for o in (*parameter.opts, *parameter.secondary_opts) if o.startswith("--")]
        if flags and not getattr(command, "commands", {}):
            yield path, flags


def main() -> int:
    """Print what is missing; 1 if anything is."""
    if "--write" in sys.argv:
        SETTINGS.write_text(settings_page(), "utf-8")
        PACKAGED_CARD.write_text(packaged_card(CARD.read_text("utf-8")), "utf-8")
    pages = {p: p.read_text("utf-8") for p in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])}
    everything = "\n".join(pages.values())
    problems = []
    if pages[SETTINGS] != settings_page():
        problems.append(
            f"{SETTINGS.relative_to(ROOT)} is not what config.py says: write it anew with --write"
        )
    if not PACKAGED_CARD.is_file() or PACKAGED_CARD.read_text("utf-8") != packaged_card(pages[CARD]):
        problems.append(
            f"{PACKAGED_CARD.relative_to(ROOT)} is not {CARD.relative_to(ROOT)}: write it anew with --write"
        )
    for flag, *_ in setting_fields():
        if f"`--{flag.replace('_', '-')}`" not in everything:
            problems.append(
                f"setting --{flag.replace('_', '-')} is not documented: add it to docs/settings.md"
            )
    for command in app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")  # type: ignore[union-attr]
        if f"clipomaly {name}" not in everything:
            problems.append(f"command `clipomaly {name}` is not documented")
        if "Example:" not in (command.callback.__doc__ or ""):
            problems.append(f"command `clipomaly {name}` has no example in its help")
    for group in app.registered_groups:
        for command in group.typer_instance.registered_commands if group.typer_instance else ():
            name = f"{group.name} {command.name or command.callback.__name__.replace('_', '-')}"  # type: ignore[union-attr]
            own = name.partition(" ")[2] not in FORMATS  # those share one page and one line for all
            if own and f"clipomaly {name}" not in everything:
                problems.append(f"command `clipomaly {name}` is not documented")
    written = set(re.findall(r"--[a-z][a-z-]*", everything))
    problems += [
        f"option {flags[0]} of `{name}` is not documented"
        for name, flags in options(typer.main.get_command(app))
        if not written.intersection(flags)
    ]
    exports = (ROOT / "docs" / "exports.md").read_text("utf-8")
    problems += [f"format `{n}` is not in docs/exports.md" for n in FORMATS if f"| `{n}` |" not in exports]
    for kind, names in (("method", METHODS), ("vocabulary", list_vocabularies())):
        problems += [f"{kind} `{n}` is not documented" for n in names if f"`{n}`" not in everything]
    for page, text in pages.items():
        for target, place in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
            if "://" in target or target.startswith("mailto:"):
                continue
            other = (page.parent / target).resolve() if target else page
            if not other.exists():
                problems.append(f"{page.relative_to(ROOT)}: link to {target} leads nowhere")
            elif place and other in pages and place not in anchors(pages[other]):
                problems.append(f"{page.relative_to(ROOT)}: {target or 'it'} has no heading #{place}")
    for problem in problems:
        print(f"docs: {problem}")
    if not problems:
        print(f"docs: {len(pages)} pages, nothing missing")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
