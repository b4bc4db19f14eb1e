"""Two pieces of HTML that every part of a report is made of; all text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["section", "table"]


def section(title: str, content: str) -> str:
    """A card with a title; `content` is HTML already."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    wrap_last: bool = False,
    numbers: Sequence[int] | None = None,
) -> str:
    """A table; columns after the first hold numbers unless `numbers` says which do.

    >>> table(("a", "b"), [("<", "1")]).partition("<tbody>")[2]
    '<tr><td>&lt;</td><td class="num">1</td></tr></tbody></table>'
    """
    last = len(head) - 1

    def kind(i: int) -> str:
        if wrap_last and i == last:
            return ' class="about"'
        return ' class="num"' if (i in numbers if numbers is not None else i > 0) else ""

    heads = "".join(f'<th{kind(i)} scope="col">{escape(h)}</th>' for i, h in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{kind(i)}>{escape(cell)}</td>" for i, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
