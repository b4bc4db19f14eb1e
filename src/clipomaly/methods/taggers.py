"""Which tagger a folder holds, opened: RAM and RAM++, or a captioner."""

from __future__ import annotations

from pathlib import Path

from clipomaly.config import NamingSettings
from clipomaly.encoders.captioner import TransformersCaptioner, check_captioner
from clipomaly.encoders.ram.run import GRAPH_FILE, open_ram
from clipomaly.errors import ConfigError, ModelError
from clipomaly.naming.captions import CaptionTagger
from clipomaly.naming.dictionary import load_words
from clipomaly.naming.ram import RamTagger
from clipomaly.naming.tags import Tagger

__all__ = ["open_tagger"]


def open_tagger(naming: NamingSettings) -> Tagger | None:
    """The tagger that the settings name; nothing where the encoder itself is the tagger."""
    asked = naming.names in ("tags", "both")
    if naming.tags is not None and not asked:
        raise ConfigError("--tags lists names for --names tags or --names both: give one of them too")
    if naming.tagger_threshold != NamingSettings().tagger_threshold and naming.tagger is None:
        raise ConfigError("--tagger-threshold is RAM's: give its folder too, --names tags --tagger FOLDER")
    if naming.tagger is None:
        return None
    if not asked:
        raise ConfigError("--tagger proposes names for --names tags or --names both: give one of them too")
    folder = Path(naming.tagger)
    if not folder.is_dir():
        raise ModelError(
            f"{folder}: no such folder; --tagger wants a folder with RAM's weights or a captioner"
        )
    if (folder / GRAPH_FILE).is_file() or any(
        p.suffix in (".pth", ".safetensors") for p in folder.glob("ram*")
    ):
        if naming.tags is not None:
            raise ConfigError(
                "RAM's tag list belongs to its weights: `clipomaly export-tagger FOLDER --tags FILE --out D` "
                "writes a tagger with other tags"
            )
        return RamTagger(open_ram(folder), naming.tagger_threshold)
    if (folder / "config.json").is_file():
        check_captioner(folder)
        if naming.tagger_threshold != NamingSettings().tagger_threshold:
            raise ConfigError(f"--tagger-threshold is RAM's, and {folder} holds a captioner: leave it out")
        return CaptionTagger(TransformersCaptioner(folder), load_words(naming.tags))
    raise ModelError(
        f"{folder} holds no tagger that we know. Put there: for RAM, ram_plus_swin_large_14m.pth or "
        "ram_swin_large_14m.pth (huggingface.co/xinyu1205) with ram_tag_list.txt (ram/data in "
        "github.com/xinyu1205/recognize-anything); or what `clipomaly export-tagger` wrote; or a "
        "transformers checkpoint that captions pictures (needs the extra [torch])"
    )
