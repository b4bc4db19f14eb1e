"""Options that several commands take, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Database", "Json", "Out", "RunOption", "Store", "Who"]

Out = Annotated[Path, typer.Option(help="Folder for the results; made if missing.")]

Store = Annotated[str, typer.Option(help="The store: a folder, or an object-store address such as s3://…")]
Database = Annotated[
    str | None,
    typer.Option(help="Decisions: sqlite:///FILE or postgresql://…; default: a file in the store's folder."),
]
RunOption = Annotated[str | None, typer.Option(help="Only this run; `clipomaly stores show` lists them.")]
Who = Annotated[str | None, typer.Option(help="Who decides; default: $CLIPOMALY_WHO, else your user name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
