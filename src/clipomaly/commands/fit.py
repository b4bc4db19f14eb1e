"""`clipomaly fit`: what the baselines mahalanobis and knn need to know of ordinary frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from clipomaly.config import Settings
from clipomaly.data.sources import list_sources, read_frames
from clipomaly.encoders.seam import Encoder
from clipomaly.errors import ClipomalyError, ConfigError
from clipomaly.maths.density import Gaussians
from clipomaly.methods.baselines import FITTED, open_baseline, save_fit
from clipomaly.methods.table import open_encoder
from clipomaly.records import Frame
from clipomaly.vocabulary import load_vocabulary

__all__ = ["run_fit"]


def run_fit(settings: Settings, sources: Sequence[str], out: Path) -> None:
    """Fit the baseline that the settings name on known-only frames and write the file."""
    if settings.method not in FITTED:
        raise ConfigError(f"method {settings.method} is not fitted: use --method {' or '.join(FITTED)}")
    vocabulary = load_vocabulary(settings.vocabulary)

    def encoder() -> Encoder:
        return open_encoder(settings)

    baseline = open_baseline(settings, encoder, vocabulary)
    items = list_sources(sources)

    def images() -> Iterator:
        for frame in track(read_frames(items), "fitting", total=len(items)):
            if not isinstance(frame, Frame):
                raise ClipomalyError(f"{frame}: remove it, fitting wants every frame")
            yield frame.image

    fitted = baseline.fit(images(), vocabulary)
    assert baseline.backbone is not None
    save_fit(out, fitted, model_hash=baseline.backbone.fingerprint, vocabulary=vocabulary)
    what = f"{len(fitted.means)} classes" if isinstance(fitted, Gaussians) else f"{len(fitted.kept)} vectors"
    Console().print(f"{out}  ({what} of {len(items)} frames, model {baseline.backbone.name})")
