"""Small captioners of the real `transformers` classes, with random weights, as folders like a user's.

Each comes with what calling transformers by hand needs: the prompt as it reaches the tokenizer, written out
here and not rendered, and the picture prepared by its family's own class.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from clipomaly.encoders.captioner import QUESTION

WORDS = ["crate", "dog", "ladder", "tyre", "suitcase", "box", "red", "cyan", "yellow", "a", "road", ","]
WORDS += ["User", ":", "Assistant", "ASSISTANT", "caption", "en"]
# As the families' own templates lay a chat out, less what they say about videos, tools and systems.
QWEN = """{% for m in messages %}<|im_start|>{{ m['role'] }}
{% for c in m['content'] %}{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}\
{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
LLAVA = """{% for m in messages %}{{ m['role'] | upper }}: \
{% for c in m['content'] | selectattr('type', 'equalto', 'image') %}<image>
{% endfor %}{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{{ c['text'] }} {% endfor %}\
{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"""
SMOL = """<|im_start|>{% for m in messages %}{{ m['role'] | capitalize }}:{% for c in m['content'] %}\
{% if c['type'] == 'text' %}{{ c['text'] }}{% elif c['type'] == 'image' %}{{ '<image>' }}{% endif %}\
{% endfor %}<end_of_utterance>
{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""
INTERN = """{% for m in messages %}<|im_start|>{{ m['role'] }}
{% for c in m['content'] %}{% if c['type'] == 'image' %}<IMG_CONTEXT>
{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 7,
}
SQUARE = {"height": 28, "width": 28}


@dataclass(frozen=True)
class Family:
    """A model on disk, and the way to call it by hand."""

    folder: Path
    images: Callable[..., Any]
    prompt: str | None = None


def blip(folder: Path) -> Family:
    ids = words(folder, start="[CLS]", end="[SEP]")
    text = TEXT | {"max_position_embeddings": 80, "encoder_hidden_size": 32, "sep_token_id": ids["[SEP]"]}
    config = hf.BlipConfig(
        text_config=text | tokens(ids, "[CLS]", "[SEP]"), vision_config=VISION, projection_dim=16
    )
    return save(folder, hf.BlipForConditionalGeneration(config), "BlipImageProcessor", size=SQUARE)


def git(folder: Path) -> Family:
    ids = words(folder, start="[CLS]", end="[SEP]")
    sizes = {k: v for k, v in TEXT.items() if k != "num_key_value_heads"}
    config = hf.GitConfig(
        vision_config=VISION, **sizes, **tokens(ids, "[CLS]", "[SEP]"), tie_word_embeddings=False
    )
    crop = {"size": {"shortest_edge": 28}, "crop_size": SQUARE}
    return save(folder, hf.GitForCausalLM(config), "CLIPImageProcessor", **crop)


def vision_encoder_decoder(folder: Path) -> Family:
    ids = words(folder)
    start = tokens(ids, "<s>", "</s>")
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        hf.ViTConfig(**VISION),
        hf.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=80, add_cross_attention=True, **start),
    )
    config.decoder_start_token_id, config.pad_token_id = ids["<s>"], ids["<pad>"]
    model = hf.VisionEncoderDecoderModel(config)
    return save(folder, model, "ViTImageProcessor", size=SQUARE)


def llava(folder: Path) -> Family:
    ids = words(folder, image_token="<image>")
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**VISION, projection_dim=16),
        text_config=hf.LlamaConfig(**TEXT, **tokens(ids, "<s>", "</s>")),
        image_token_index=ids["<image>"],
        vision_feature_layer=-1,
        image_seq_length=16,
    )
    layout = {"patch_size": 7, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    crop = {"size": {"shortest_edge": 28}, "crop_size": SQUARE}
    saved = save(
        folder, hf.LlavaForConditionalGeneration(config), "CLIPImageProcessor", LLAVA, layout, **crop
    )
    return Family(folder, saved.images, f"USER: {'<image>' * 16}\n{QUESTION} ASSISTANT:")


def qwen(folder: Path, kind: str = "Qwen2VL", **eyes: Any) -> Family:
    special = {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_start_token": "<|vision_start|>",
    }
    special |= {"vision_end_token": "<|vision_end|>", "turn": "<|im_start|>", "over": "<|im_end|>"}
    ids = words(folder, **special)
    eyes = {"depth": 2, "hidden_size": 32, "num_heads": 2, "patch_size": 14} | eyes
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}
    config = getattr(hf, f"{kind}Config")(
        text_config=TEXT | tokens(ids, "<s>", "</s>") | {"rope_parameters": rope, "head_dim": 16},
        vision_config=eyes,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    area = (2 * eyes["patch_size"]) ** 2 * 4
    sides = {"patch_size": eyes["patch_size"], "size": {"shortest_edge": area, "longest_edge": area}}
    model, layout = (
        getattr(hf, f"{kind}ForConditionalGeneration")(config),
        {"processor_class": f"{kind}Processor"},
    )
    saved = save(folder, model, "Qwen2VLImageProcessor", QWEN, layout, **sides)
    return Family(
        folder,
        saved.images,
        f"<|im_start|>user\n<|vision_start|>{'<|image_pad|>' * 2}<|vision_end|>{QUESTION}<|im_end|>\n"
        "<|im_start|>assistant\n",
    )


def qwen2(folder: Path) -> Family:
    return qwen(folder, embed_dim=32, mlp_ratio=2)


def qwen2_5(folder: Path) -> Family:
    sizes = {"intermediate_size": 48, "out_hidden_size": 32, "window_size": 56, "fullatt_block_indexes": [1]}
    return qwen(folder, "Qwen2_5_VL", **sizes)


def qwen3(folder: Path) -> Family:
    sizes = {
        "intermediate_size": 48,
        "out_hidden_size": 32,
        "patch_size": 16,
        "deepstack_visual_indexes": [0],
    }
    return qwen(folder, "Qwen3VL", **sizes, num_position_embeddings=16)


def smolvlm(folder: Path, kind: str = "SmolVLM") -> Family:
    special = {"image_token": "<image>", "fake_image_token": "<fake_token_around_image>"}
    special |= {"global_image_token": "<global-img>", "end_of_utterance_token": "<end_of_utterance>"}
    ids = words(folder, **special, turn="<|im_start|>")
    config = getattr(hf, f"{kind}Config")(
        vision_config=VISION | {"num_channels": 3},
        text_config=hf.LlamaConfig(**TEXT, **tokens(ids, "<s>", "</s>")),
        image_token_id=ids["<image>"],
        scale_factor=2,
        pad_token_id=ids["<pad>"],
    )
    layout = {"image_seq_len": 4, "processor_class": f"{kind}Processor"}
    edges = {
        "size": {"longest_edge": 28},
        "max_image_size": {"longest_edge": 28},
        "do_image_splitting": False,
    }
    model = getattr(hf, f"{kind}ForConditionalGeneration")(config)
    saved = save(folder, model, f"{kind}ImageProcessor", SMOL, layout, **edges)
    fake = "<fake_token_around_image>"
    picture = f"{fake}<global-img>{'<image>' * 4}{fake}"
    return Family(folder, saved.images, f"<|im_start|>User:{picture}{QUESTION}<end_of_utterance>\nAssistant:")


def idefics3(folder: Path) -> Family:
    return smolvlm(folder, "Idefics3")


def internvl(folder: Path) -> Family:
    special = {"start_image_token": "<img>", "end_image_token": "</img>", "video_token": "<video>"}
    ids = words(
        folder, **special, context_image_token="<IMG_CONTEXT>", turn="<|im_start|>", over="<|im_end|>"
    )
    config = hf.InternVLConfig(
        vision_config=VISION | {"image_size": [28, 28], "patch_size": [7, 7]},
        text_config=hf.Qwen2Config(**TEXT, **tokens(ids, "<s>", "</s>")),
        image_token_id=ids["<IMG_CONTEXT>"],
        image_seq_length=4,
    )
    layout = {"image_seq_length": 4, "processor_class": "InternVLProcessor"}
    model = hf.InternVLForConditionalGeneration(config)
    saved = save(folder, model, "GotOcr2ImageProcessor", INTERN, layout, size=SQUARE, max_patches=1)
    return Family(
        folder,
        saved.images,
        f"<|im_start|>user\n<img>{'<IMG_CONTEXT>' * 4}</img>\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n",
    )


def paligemma(folder: Path) -> Family:
    ids = words(folder, image_token="<image>")
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, vision_use_head=False),
        text_config=hf.GemmaConfig(**TEXT, head_dim=16, **tokens(ids, "<s>", "</s>")),
        image_token_index=ids["<image>"],
        projection_dim=32,
    )
    model = hf.PaliGemmaForConditionalGeneration(config)
    saved = save(folder, model, "SiglipImageProcessor", size=SQUARE, image_seq_length=16)
    return Family(folder, saved.images, f"{'<image>' * 16}<s>caption en\n")


def florence2(folder: Path) -> Family:
    ids = words(folder, image_token="<image>")
    text = hf.BartConfig(
        d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=99, decoder_start_token_id=ids["<s>"],
        forced_eos_token_id=ids["</s>"], **tokens(ids, "<s>", "</s>"),
    )  # fmt: skip
    eyes = {
        "depths": [1],
        "patch_size": [7],
        "patch_stride": [7],
        "patch_padding": [0],
        "patch_prenorm": [False],
    }
    eyes |= {"embed_dim": [32], "num_heads": [2], "num_groups": [2], "window_size": 4, "projection_dim": 32}
    config = hf.Florence2Config(text_config=text.to_dict(), vision_config=eyes, image_token_id=ids["<image>"])
    model, crop = hf.Florence2ForConditionalGeneration(config), {"size": SQUARE, "crop_size": SQUARE}
    saved = save(folder, model, "CLIPImageProcessor", image_seq_length=17, **crop)
    return Family(
        folder, saved.images, f"{'<image>' * 17}<s>Describe with a paragraph what is shown in the image.</s>"
    )


def blip2(folder: Path) -> Family:
    ids = words(folder, image_token="<image>")
    config = hf.Blip2Config(
        vision_config=VISION,
        qformer_config={k: v for k, v in TEXT.items() if "key" not in k} | {"encoder_hidden_size": 32},
        text_config=hf.OPTConfig(
            hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=32,
            max_position_embeddings=99, **tokens(ids, "<s>", "</s>"),
        ),
        num_query_tokens=3,
        image_token_index=ids["<image>"],
    )  # fmt: skip
    config.text_config.bos_token_id = ids["<s>"]
    model = hf.Blip2ForConditionalGeneration(config)
    return save(folder, model, "BlipImageProcessor", None, {"num_query_tokens": 3}, size=SQUARE)


FAMILIES: dict[str, Callable[[Path], Family]] = {
    "blip": blip,
    "git": git,
    "vision-encoder-decoder": vision_encoder_decoder,
    "blip-2": blip2,
    "florence2": florence2,
    "paligemma": paligemma,
    "llava": llava,
    "qwen2_vl": qwen2,
    "qwen2_5_vl": qwen2_5,
    "qwen3_vl": qwen3,
    "smolvlm": smolvlm,
    "idefics3": idefics3,
    "internvl": internvl,
}


def words(folder: Path, start: str = "<s>", end: str = "</s>", **special: str) -> dict[str, int]:
    """Write a tokenizer of some words, which may stand anywhere in a text; the numbers of all it knows."""
    folder.mkdir(parents=True, exist_ok=True)
    held = ["<unk>", "<pad>", start, end, *special.values(), *WORDS]
    ids = {word: i for i, word in enumerate(dict.fromkeys(held))}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if start == "[CLS]":
        pair = [(word, ids[word]) for word in (start, end)]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{start} $A {end}", special_tokens=pair
        )
    hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token=start,
        eos_token=end,
        model_input_names=["input_ids", "attention_mask"],
        extra_special_tokens=special,
    ).save_pretrained(folder)
    return ids


def tokens(ids: dict[str, int], start: str, end: str) -> dict[str, int]:
    """The part of a text model's settings that the tokenizer decides."""
    return {
        "vocab_size": len(ids),
        "bos_token_id": ids[start],
        "eos_token_id": ids[end],
        "pad_token_id": ids["<pad>"],
    }


def save(
    folder: Path,
    model: Any,
    preparation: str,
    template: str | None = None,
    layout: dict[str, Any] | None = None,
    **pixels: Any,
) -> Family:
    """Write model, picture preparation and chat template; weights so large that pictures matter."""
    known = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    # Marks are hardly ever said: what decoding leaves out would show nothing.
    silent = [i for word, i in known.items() if word not in WORDS]
    torch.manual_seed(2)
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim > 1:
                value.copy_(torch.randn_like(value) * 0.5)
            if value.ndim == 2 and len(value) == len(known):
                value[silent] *= 0.3
    model.save_pretrained(folder)
    layout = dict(layout or {})
    held = {"image_processor_type": preparation} | pixels
    if "processor_class" in layout:
        held["processor_class"] = layout["processor_class"]
    (folder / "preprocessor_config.json").write_text(json.dumps(held), "utf-8")
    if layout:
        (folder / "processor_config.json").write_text(json.dumps(layout), "utf-8")
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, "utf-8")
    return Family(folder, getattr(hf, f"{preparation}Pil")(**pixels))
