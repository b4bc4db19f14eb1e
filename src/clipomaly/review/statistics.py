"""The runs page: what each run found, how far review has come, who decided what."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from clipomaly.records import UNNAMED, shown_name
from clipomaly.review.desk import Desk
from clipomaly.review.pictures import finding_color
from clipomaly.store.catalogue import FindingFilter
from clipomaly.store.counting import bearing, guessed_names, standing
from clipomaly.store.state import STATUSES
from clipomaly.vocabulary import normalise_name

__all__ = ["Statistics"]

_BINS = 20
_NAMES = 15


class Statistics:
    """Figures beside a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def overview(self) -> dict[str, Any]:
        """Everything on the page."""
        self.desk.refresh()
        desk, c = self.desk, self.desk.catalogue
        with desk.turn:
            facets = desk.facets()
            runs = []
            for row in facets["runs"]:
                status = desk.count_by_status(FindingFilter(run=row["id"]))
                runs.append({**row, "findings": sum(status.values()), "status": status})
            total = desk.count_by_status()
            aside = total["ignored"] + total["split"]
            reasons: Counter[str] = Counter()
            for row in np.flatnonzero(c.status == STATUSES.index("rejected")):
                reasons[c.state(str(c.ids[row])).reason or "other"] += 1
            return {
                "totals": {
                    "runs": len(runs),
                    "frames": sum(r["frames"] for r in runs),
                    "findings": sum(total.values()),
                    "decided": total["confirmed"] + total["rejected"] + aside,
                    "confirmed": total["confirmed"],
                    "rejected": total["rejected"],
                    "aside": aside,
                },
                "runs": runs,
                "histogram": self._histogram(),
                "names": self._names(),
                "reviewers": desk.people(),
                "reasons": dict(reasons.most_common()),
            }

    def _histogram(self) -> dict[str, Any]:
        """Findings by score: confirmed, rejected, set aside (ignored, or marked as several things), open."""
        c = self.desk.catalogue
        low = float(np.floor(20 * c.score.min(initial=0.9)) / 20)
        high = float(max(low + 0.1, np.ceil(20 * c.score.max(initial=0.0)) / 20))
        edges = np.linspace(low, high, _BINS + 1)
        groups = {
            "confirmed": ("confirmed",),
            "rejected": ("rejected",),
            "set aside": ("ignored", "split"),
            "open": ("open", "assigned"),
        }
        out = {}
        for title, statuses in groups.items():
            mask = standing(c) & np.isin(c.status, [STATUSES.index(s) for s in statuses])
            out[title] = np.histogram(c.score[mask], edges)[0].tolist()
        return {"edges": edges.tolist(), "groups": out}

    def _names(self) -> list[dict[str, Any]]:
        c = self.desk.catalogue
        counted, guessed = bearing(c), guessed_names(c)
        confirmed = counted & (c.status == STATUSES.index("confirmed"))
        all_ = np.bincount(c.name.codes[counted], minlength=len(c.name.words))
        sure = np.bincount(c.name.codes[confirmed], minlength=len(c.name.words))
        order = np.argsort(-all_, kind="stable")[:_NAMES]
        return [
            {
                "name": c.name.words[i],
                "label": shown_name(c.name.words[i], normalise_name(c.name.words[i]) in guessed),
                "unnamed": c.name.words[i] == UNNAMED,
                "color": list(finding_color(c.name.words[i])),
                "findings": int(all_[i]),
                "confirmed": int(sure[i]),
            }
            for i in order
            if all_[i]
        ]
