"""Further families of captioners, small and random, for the way that transformers' own pages show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import transformers as hf

from .captioners import SQUARE, TEXT, VISION, Family, save, tokens, words

PINPOINTS = [[28, 56], [56, 28], [56, 56]]


def chat(picture: str) -> str:
    """A template of the plainest kind."""
    parts = "{% if c['type'] == 'image' %}" + picture + "{% else %}{{ c['text'] }}{% endif %}"
    turns = "{% for m in messages %}{% for c in m['content'] %}" + parts + "{% endfor %}{% endfor %}"
    return turns + "{% if add_generation_prompt %} Assistant :{% endif %}"


def llava_next(folder: Path) -> Family:
    ids = words(folder, image_token="<image>")
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**VISION, projection_dim=16),
        text_config=hf.LlamaConfig(**TEXT, **tokens(ids, "<s>", "</s>")),
        image_token_index=ids["<image>"],
        vision_feature_layer=-1,
        image_grid_pinpoints=PINPOINTS,
    )
    layout = {"patch_size": 7, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    sizes = {"size": {"shortest_edge": 28}, "crop_size": SQUARE, "image_grid_pinpoints": PINPOINTS}
    model = hf.LlavaNextForConditionalGeneration(config)
    return save(folder, model, "LlavaNextImageProcessor", chat("<image>"), layout, **sizes)


def llava_onevision(folder: Path) -> Family:
    ids = words(folder, image_token="<image>", video_token="<video>")
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, vision_use_head=False),
        text_config=hf.Qwen2Config(**TEXT, **tokens(ids, "<s>", "</s>")),
        image_token_index=ids["<image>"],
        video_token_index=ids["<video>"],
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=PINPOINTS,
    )
    layout = {"num_image_tokens": 16, "vision_feature_select_strategy": "full"}
    layout["processor_class"] = "LlavaOnevisionProcessor"
    model = hf.LlavaOnevisionForConditionalGeneration(config)
    sizes = {"size": SQUARE, "image_grid_pinpoints": PINPOINTS}
    return save(folder, model, "LlavaOnevisionImageProcessor", chat("<image>"), layout, **sizes)


def gemma3(folder: Path) -> Family:
    ids = words(folder, image_token="<soft>", boi_token="<start_of_image>", eoi_token="<end_of_image>")
    config = hf.Gemma3Config(
        vision_config=hf.SiglipVisionConfig(**VISION, vision_use_head=False),
        text_config=hf.Gemma3TextConfig(
            **TEXT,
            head_dim=16,
            query_pre_attn_scalar=1,
            tie_word_embeddings=False,
            **tokens(ids, "<s>", "</s>"),
        ),
        mm_tokens_per_image=4,
        boi_token_index=ids["<start_of_image>"],
        eoi_token_index=ids["<end_of_image>"],
        image_token_index=ids["<soft>"],
        tie_word_embeddings=False,
    )
    model, layout = hf.Gemma3ForConditionalGeneration(config), {"image_seq_length": 4}
    return save(folder, model, "Gemma3ImageProcessor", chat("<start_of_image>"), layout, size=SQUARE)


def glm4v(folder: Path) -> Family:
    marks = {"image_token": "<|image|>", "video_token": "<|video|>", "a": "<|begin_of_image|>"}
    marks |= {"b": "<|end_of_image|>", "c": "<|begin_of_video|>", "d": "<|end_of_video|>"}
    ids = words(folder, **marks)
    rope = {
        "rope_type": "default",
        "mrope_section": [2, 3, 3],
        "rope_theta": 1e4,
        "partial_rotary_factor": 1.0,
    }
    eyes = {"depth": 2, "hidden_size": 32, "num_heads": 2, "out_hidden_size": 32, "intermediate_size": 48}
    config = hf.Glm4vConfig(
        text_config=TEXT | tokens(ids, "<s>", "</s>") | {"rope_parameters": rope},
        vision_config=eyes | {"patch_size": 14, "image_size": 56},
        image_token_id=ids["<|image|>"],
        video_token_id=ids["<|video|>"],
        image_start_token_id=ids["<|begin_of_image|>"],
        image_end_token_id=ids["<|end_of_image|>"],
        video_start_token_id=ids["<|begin_of_video|>"],
        video_end_token_id=ids["<|end_of_video|>"],
    )
    model, layout = hf.Glm4vForConditionalGeneration(config), {"processor_class": "Glm4vProcessor"}
    template = chat("<|begin_of_image|><|image|><|end_of_image|>")
    size = {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 16}
    return save(folder, model, "Glm4vImageProcessor", template, layout, size=size)


def instructblip(folder: Path) -> Family:
    ids = words(folder, picture="<image>")
    asked = words(folder / "qformer_tokenizer", start="[CLS]", end="[SEP]")
    reader = {k: v for k, v in TEXT.items() if "key" not in k}
    text = hf.OPTConfig(
        hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=32,
        max_position_embeddings=99, **tokens(ids, "<s>", "</s>"),
    )  # fmt: skip
    config = hf.InstructBlipConfig(
        vision_config=VISION,
        qformer_config=reader | {"encoder_hidden_size": 32, "vocab_size": len(asked)},
        text_config=text,
        num_query_tokens=3,
        image_token_index=ids["<image>"],
    )
    model, layout = hf.InstructBlipForConditionalGeneration(config), {"num_query_tokens": 3}
    return save(folder, model, "BlipImageProcessor", None, layout, size=SQUARE)


def pix2struct(folder: Path) -> Family:
    ids = words(folder)
    sizes = {"hidden_size": 32, "d_kv": 16, "d_ff": 48}
    layers = {"num_layers": 2, "num_heads": 2, "decoder_start_token_id": ids["<pad>"]}
    config = hf.Pix2StructConfig(
        text_config=sizes | layers | tokens(ids, "<s>", "</s>"),
        vision_config=sizes | {"num_hidden_layers": 2, "num_attention_heads": 2, "seq_len": 64},
    )
    model = hf.Pix2StructForConditionalGeneration(config)
    return save(folder, model, "Pix2StructImageProcessor", None, {"processor_class": "Pix2StructProcessor"})


MORE: dict[str, Callable[[Path], Family]] = {
    "llava_next": llava_next,
    "llava_onevision": llava_onevision,
    "gemma3": gemma3,
    "glm4v": glm4v,
    "instructblip": instructblip,
    "pix2struct": pix2struct,
}
