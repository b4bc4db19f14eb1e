"""Encoders: pictures and words into one space of unit vectors. Importing this loads no runtime.

load        open an encoder by name, folder or hub id
seam        the protocol, and what an encoder says of itself
attention   last-block variants, as data
dense       any picture size: resize, pad, tile, blend
prompts     names to vectors, and the bank that compares them
onnx, transformers, export, mini        the runtimes, the way between them, and the embedded model
"""

from clipomaly.encoders.attention import VARIANTS, LastBlock
from clipomaly.encoders.dense import Tiling
from clipomaly.encoders.load import list_models, load_encoder
from clipomaly.encoders.prompts import TextBank, bank_of_names, bank_of_vocabulary, build_bank
from clipomaly.encoders.seam import Encoder, EncoderSpec

__all__ = [
    "VARIANTS",
    "Encoder",
    "EncoderSpec",
    "LastBlock",
    "TextBank",
    "Tiling",
    "bank_of_names",
    "bank_of_vocabulary",
    "build_bank",
    "list_models",
    "load_encoder",
]
