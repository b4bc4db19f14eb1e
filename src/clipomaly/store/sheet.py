"""A contact sheet: small pictures of findings in rows, a line of text below each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from clipomaly.errors import StoreError
from clipomaly.export.files import write_whole
from clipomaly.store.parts import root_of
from clipomaly.store.results import ResultStore

__all__ = ["write_sheet"]

_SIDE, _LINE, _COLUMNS = 160, 18, 6


def write_sheet(store: ResultStore, findings: Sequence[str], lines: Sequence[str], path: Path) -> None:
    """Write the sheet as JPEG; findings without a small picture get an empty place, parts their finding's."""
    from PIL import Image, ImageDraw

    if path.suffix.lower() not in (".jpg", ".jpeg"):
        raise StoreError(f"a contact sheet is a JPEG: call {path} *.jpg")
    records = {f.id: f for f in store.findings([root_of(f) for f in findings], embeddings=False)}
    rows = max(1, -(-len(findings) // _COLUMNS))
    sheet = Image.new("RGB", (_COLUMNS * (_SIDE + 8) + 8, rows * (_SIDE + _LINE + 8) + 8), (24, 26, 28))
    draw = ImageDraw.Draw(sheet)
    for i, (finding, line) in enumerate(zip(findings, lines, strict=True)):
        x, y = 8 + (i % _COLUMNS) * (_SIDE + 8), 8 + (i // _COLUMNS) * (_SIDE + _LINE + 8)
        record = records.get(root_of(finding))
        if record is not None and record.thumbnail:
            with Image.open(io.BytesIO(store.read_file(record.thumbnail)), formats=("JPEG",)) as picture:
                picture.thumbnail((_SIDE, _SIDE))
                w, h = picture.size
                sheet.paste(picture, (x + (_SIDE - w) // 2, y + (_SIDE - h) // 2))
        else:
            draw.rectangle((x, y, x + _SIDE, y + _SIDE), outline=(70, 74, 78))
        draw.text((x, y + _SIDE + 3), line[:26], fill=(225, 228, 230))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=88)
    write_whole(path, out.getvalue())
