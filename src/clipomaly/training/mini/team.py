"""Several single-threaded workers that share one model: gradients are averaged once a step.

On a CPU that other programs also use, threads inside one operation wait for each other thousands of times a
step; workers that meet once a step do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

__all__ = ["ALONE", "Team", "join_team"]


@dataclass(frozen=True)
class Team:
    """Which worker this is, of how many."""

    rank: int = 0
    size: int = 1

    def average(self, model: nn.Module, figure: float = 0.0) -> float:
        """Replace every gradient by its mean over the workers (an absent one counts as zero).

        `figure` is averaged along with them: what all workers must agree on (the clock) travels here.
        """
        if self.size == 1:
            return figure
        parameters = [p for p in model.parameters() if p.requires_grad]
        flat = torch.cat(
            [(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters]
            + [torch.tensor([figure])]
        )
        dist.all_reduce(flat)
        flat /= self.size
        at = 0
        for p in parameters:
            p.grad = flat[at : at + p.numel()].view_as(p).clone()
            at += p.numel()
        return float(flat[-1])


ALONE = Team()


def join_team(rank: int, size: int, meeting: Path) -> Team:
    """Meet the other workers through a file; a team of one needs none."""
    if size == 1:
        return ALONE
    dist.init_process_group("gloo", init_method=f"file://{meeting.resolve()}", rank=rank, world_size=size)
    return Team(rank, size)
