"""What decides a pack, and the scene of each number that follows from it. Nothing is rendered here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from clipomaly.errors import ConfigError
from clipomaly.world import aprons, roads, unknowns
from clipomaly.world.controls import AS_DRAWN, CONTROLS, Switches, parse_switches
from clipomaly.world.layout import FOCUSES, Wish
from clipomaly.world.render import LOOKS
from clipomaly.world.scene import Scene
from clipomaly.world.seeds import SPLITS, split_index

DOMAINS: dict[str, Callable[..., Scene]] = {"road": roads.sample_scene, "apron": aprons.sample_scene}
PERIOD = 0.1
_EMPTY = 5


@dataclasses.dataclass(frozen=True)
class PackSettings:
    """What decides every byte of a pack but its length.

    A `tour` switches on one control after the other, scene by scene, and leaves every fifth scene without
    unknowns. `compact` keeps LiDAR sweeps as small NPZ instead of KITTI's files.
    """

    domain: str
    split: str
    seed: int
    look: str = "photo"
    drive: int = 1
    stereo: bool = True
    size: tuple[int, int] = (1280, 720)
    switches: Switches = AS_DRAWN
    tour: bool = False
    compact: bool = False
    focus: str = "all"

    def __post_init__(self) -> None:
        for value, allowed, what in (
            (self.domain, DOMAINS, "domain"), (self.split, SPLITS, "split"), (self.look, LOOKS, "look"),
            (self.focus, FOCUSES, "choice of unknowns"),
        ):  # fmt: skip
            if value not in allowed:
                raise ConfigError(f"unknown {what} {value!r}: one of {', '.join(allowed)}")
        if self.seed < 0:
            raise ConfigError(f"a seed is 0 or more, not {self.seed}")
        if self.drive < 1:
            raise ConfigError(f"a drive has at least one frame, not {self.drive}")
        if min(self.size) < 16:
            raise ConfigError(f"pictures of {self.size[0]}×{self.size[1]} are too small: at least 16×16")


def toured(settings: PackSettings, number: int) -> Switches:
    """The switches of a scene: on a tour, one control more, unless it does not go with the others.

    >>> toured(PackSettings("road", "test", seed=0, tour=True), 18).on
    frozenset({'rain'})
    """
    own = settings.switches
    # The domains begin at different controls, so that two short packs show all of them together.
    first = list(DOMAINS).index(settings.domain) * len(CONTROLS) // len(DOMAINS)
    name = CONTROLS[(first + number) % len(CONTROLS)]
    if not settings.tour or name in own.off:
        return own
    return dataclasses.replace(own, on=own.on | {name})


def sample_scene(settings: PackSettings, number: int) -> Scene:
    """The pack's scene of one number, without rendering it.

    >>> a = sample_scene(PackSettings("apron", "test", seed=1, look="fast"), 0)
    >>> b = sample_scene(PackSettings("apron", "test", seed=1, look="fast"), 0)
    >>> a.conditions == b.conditions
    True
    """
    key = [settings.seed, split_index(settings.split), list(DOMAINS).index(settings.domain), number]
    pool = unknowns.names(settings.domain, settings.split)
    # In `test` two unknowns in five have names that never occur in `train`.
    pool += 2 * tuple(n for n in pool if unknowns.held_out(n))
    wish = Wish(
        size=settings.size,
        detail=LOOKS[settings.look].detail,
        switches=toured(settings, number),
        focus=settings.focus,
        count=0 if settings.tour and number % _EMPTY == _EMPTY - 1 else None,
    )
    return DOMAINS[settings.domain](np.random.default_rng(key), settings.split, pool, wish)


def settings_of(about: Mapping[str, Any]) -> PackSettings:
    """The settings that a pack was rendered with, from its pack.json.

    >>> settings_of({"domain": "road", "split": "test", "seed": 3, "switches": ["rain=on"]}).switches.items
    ('rain=on',)
    """
    names = {f.name for f in dataclasses.fields(PackSettings)} - {"switches", "size"}
    given: dict[str, Any] = {k: v for k, v in about.items() if k in names}
    if "size" in about:
        given["size"] = tuple(about["size"])
    return PackSettings(**given, switches=parse_switches(about.get("switches", ())))
