"""Put a trained mini into the package: weights, one ONNX graph a variant, and its usual words' vectors.

    python tools/ship_mini.py TRAINED_FOLDER

Run `clipomaly calibrate` afterwards: thresholds hold for exactly these weights.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from clipomaly.encoders.attention import VARIANTS
from clipomaly.encoders.export import export_encoder
from clipomaly.encoders.load import MINI_FOLDER, load_encoder
from clipomaly.encoders.textcache import build_shipped
from clipomaly.naming.dictionary import load_words
from clipomaly.naming.outliers import load_outlier_prompts
from clipomaly.vocabulary import list_vocabularies, load_vocabulary

LIMIT = 30 << 20
_COPIED = {".json", ".txt", ".safetensors"}


def main(trained: Path) -> int:
    """Copy, export, encode the words, and check the size."""
    shutil.rmtree(MINI_FOLDER, ignore_errors=True)
    MINI_FOLDER.mkdir(parents=True)
    for path in sorted(trained.iterdir()):
        if path.suffix in _COPIED and not path.name.startswith("thresholds"):
            shutil.copyfile(path, MINI_FOLDER / path.name)
    print(export_encoder(MINI_FOLDER, MINI_FOLDER, variants=tuple(VARIANTS)))
    phrases = [*load_words(), *load_outlier_prompts("shipped")]
    for name in list_vocabularies():
        phrases += [p for c in load_vocabulary(name).known for p in c.phrases]
    build_shipped(load_encoder("mini"), list(dict.fromkeys(phrases)))
    size = sum(p.stat().st_size for p in MINI_FOLDER.iterdir())
    for path in sorted(MINI_FOLDER.iterdir()):
        print(f"{path.stat().st_size:>10,}  {path.name}")
    print(f"{size:>10,}  in all; at most {LIMIT:,}")
    return 0 if size <= LIMIT else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
