"""Cutting a region: what a line, or the pieces that hang together, would make of it, and the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from clipomaly.errors import StoreError
from clipomaly.review.desk import Desk, NotThere
from clipomaly.review.pictures import mask_box, rgba_png
from clipomaly.store.decisions import Decision
from clipomaly.store.parts import Line, cut_by_line, cut_in_pieces, part_tables

__all__ = ["Cutting"]

_TINTS = ((255, 140, 0), (0, 170, 255), (200, 60, 255), (0, 200, 110), (255, 220, 0), (255, 80, 120))


class Cutting:
    """Cuts of one desk's findings."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def parts(self, finding: str, line: Line | None) -> list[Bool[np.ndarray, "H W"]]:
        """The parts of a finding's mask as it is now; without a line the pieces that hang together."""
        mask = self.desk.mask_now(finding)
        return cut_in_pieces(mask) if line is None else cut_by_line(mask, line)

    def preview(self, finding: str, line: Line | None) -> dict[str, Any]:
        """How large the parts would be; none, and why, where this cut is none."""
        try:
            return {"areas": [int(part.sum()) for part in self.parts(finding, line)], "why": ""}
        except NotThere:
            raise
        except StoreError as error:
            return {"areas": [], "why": str(error)}

    def picture(self, finding: str, line: Line | None) -> bytes:
        """The parts in different colours, inside the box that the mask's picture covers."""
        _, box = self.desk.mask_place(finding)
        parts = self.parts(finding, line)
        x0, y0, x1, y1 = mask_box(box, (parts[0].shape[0], parts[0].shape[1]))
        return rgba_png(tinted([part[y0:y1, x0:x1] for part in parts]))

    def cut(self, who: str, finding: str, line: Line | None, key: str) -> tuple[Decision, list[str]]:
        """Decide it; the decision, and the parts' ids."""
        if key:  # sent again: the first time counts, whatever the mask is by now
            state = self.desk.catalogue.state(finding)
            done = self.desk.decisions.decision(state.cut) if state.parts else None
            if done is not None and done.key == key:
                return done, self.desk.catalogue.parts_of(finding)
        if self.desk.catalogue.parts_of(finding):
            raise StoreError("somebody has split this already: look at its parts")
        how = {"by": "pieces"} if line is None else {"by": "line", "line": [round(v, 2) for v in line]}
        parts = part_tables(finding, self.parts(finding, line))
        done = self.desk.decide(Decision(who, "split", (finding,), data={**how, "parts": parts}, key=key))
        return done, self.desk.catalogue.parts_of(finding)


def tinted(parts: Sequence[Bool[np.ndarray, "h w"]]) -> UInt8[np.ndarray, "h w 4"]:
    """Each part in a colour of its own, the rest clear."""
    out = np.zeros((*parts[0].shape, 4), np.uint8)
    for i, part in enumerate(parts):
        out[part] = (*_TINTS[i % len(_TINTS)], 170)
    return out
