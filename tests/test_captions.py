"""Captioners as taggers: every family against transformers called by hand, and what a folder may lack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipomaly.config import NamingSettings
from clipomaly.errors import ConfigError, ModelError
from clipomaly.methods.clipomaly import Clipomaly
from clipomaly.methods.taggers import open_tagger
from clipomaly.naming.captions import CaptionTagger, words_in
from clipomaly.naming.dictionary import load_words
from clipomaly.testing import ColourEncoder, check_method, colour_picture, colour_vocabulary

torch = pytest.importorskip("torch", reason="captioners run with torch")
hf = pytest.importorskip("transformers", reason="captioners are models of transformers")

from clipomaly.encoders.captioner import QUESTION, TransformersCaptioner, _Begun  # noqa: E402
from clipomaly.encoders.processors import open_processor  # noqa: E402

from .captioners import FAMILIES, WORDS, Family  # noqa: E402
from .captioners_more import MORE  # noqa: E402

LENGTH = 12


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each family's folder, written once."""
    held: dict[str, Family] = {}

    def of(name: str) -> Family:
        if name not in held:
            torch.manual_seed(0)
            held[name] = (FAMILIES | MORE)[name](tmp_path_factory.mktemp(name))
        return held[name]

    return of


@pytest.fixture
def frames() -> list[np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8)
    return [noise, np.full((90, 70, 3), 200, np.uint8), noise[:, ::-1].copy()]


def by_hand(given: Family, frames: list[np.ndarray], beams: int = 1) -> list[list[tuple[str, str]]]:
    """What transformers answers when its parts are called one after another, and the same with the prompt."""
    tokenizer = hf.AutoTokenizer.from_pretrained(given.folder)
    model = hf.AutoModelForImageTextToText.from_pretrained(given.folder).eval()
    answers = []
    for frame in frames:
        seen = dict(given.images(images=Image.fromarray(frame), return_tensors="pt"))
        inputs = {k: v for k, v in seen.items() if k not in ("num_patches", "rows", "cols")}
        echo = 0
        if given.prompt is not None:
            ids = tokenizer(given.prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
            inputs |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            if "image_grid_thw" in inputs:
                inputs["mm_token_type_ids"] = (ids == model.config.image_token_id).long()
            echo = 0 if model.config.is_encoder_decoder else ids.shape[1]
        with torch.no_grad():
            written = model.generate(
                **inputs, max_new_tokens=LENGTH, do_sample=False, num_beams=beams, num_return_sequences=beams
            )
        assert written.shape[1] > echo
        parts = (tokenizer.batch_decode(w, skip_special_tokens=True) for w in (written[:, echo:], written))
        answers.append([(answer.strip(), whole.strip()) for answer, whole in zip(*parts, strict=True)])
    return answers


@pytest.mark.parametrize("name", list(FAMILIES))
def test_answers_are_those_of_transformers_called_by_hand(
    name: str, family: Any, frames: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its processor insists on this package, which it uses for videos alone.
    monkeypatch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", str)
    given = family(name)
    captioner = TransformersCaptioner(given.folder, new_tokens=LENGTH)
    answers = [captioner.captions(frame) for frame in frames]
    wanted = by_hand(given, frames)
    assert [[answer] for [(answer, _)] in wanted] == answers
    assert len({answer for [answer] in answers}) > 1, "nothing is shown if pictures do not matter"
    # No frame leaves anything behind for the next.
    assert [captioner.captions(frame) for frame in reversed(frames)] == answers[::-1]
    if given.prompt is not None and not captioner.model.config.is_encoder_decoder:
        assert all(whole != answer and whole.endswith(answer) for [(answer, whole)] in wanted), (
            "no prompt was cut"
        )


@pytest.mark.parametrize("name", list(MORE))
def test_answers_are_those_of_the_usual_lines(name: str, family: Any, frames: list[np.ndarray]) -> None:
    """Processor, `generate`, `batch_decode`, as every model's page in transformers has it."""
    folder = family(name).folder
    videos = name in ("glm4v", "llava_onevision")  # these want torchvision for them
    processor = open_processor(folder) if videos else hf.AutoProcessor.from_pretrained(folder)
    model = hf.AutoModelForImageTextToText.from_pretrained(folder).eval()
    captioner, seen = TransformersCaptioner(folder, new_tokens=LENGTH), set()
    for frame in frames:
        picture = Image.fromarray(frame)
        if getattr(processor, "chat_template", None):
            turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}
            text = processor.apply_chat_template([turn], add_generation_prompt=True)
            inputs = processor(images=[picture], text=[text], return_tensors="pt")
        elif name == "instructblip":
            inputs = processor(images=picture, text=QUESTION, return_tensors="pt")
        else:
            inputs = processor(images=picture, return_tensors="pt")
        with torch.no_grad():
            written = model.generate(**inputs, max_new_tokens=LENGTH, do_sample=False)
        if getattr(processor, "chat_template", None):
            written = written[:, inputs["input_ids"].shape[1] :]
        [whole] = processor.batch_decode(written, skip_special_tokens=True)
        [answer] = captioner.captions(frame)
        assert answer
        # InstructBLIP repeats the question.
        assert whole.strip().endswith(answer) if name == "instructblip" else whole.strip() == answer
        seen.add(answer)
    assert len(seen) > 1, "nothing is shown if pictures do not matter"


def test_a_prompt_of_ones_own_begins_the_sentence(family: Any, frames: list[np.ndarray]) -> None:
    folder = family("blip").folder
    captioner = TransformersCaptioner(folder, prompt="a road", new_tokens=LENGTH)
    ids = captioner.processor.tokenizer("a road", return_tensors="pt")["input_ids"]
    pixels = captioner.processor(images=Image.fromarray(frames[0]), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        whole = captioner.model.generate(pixels, ids.clone(), max_new_tokens=LENGTH)[0]
    text = captioner.processor.tokenizer.decode(whole, skip_special_tokens=True)
    assert text.startswith("a road ")
    assert captioner.captions(frames[0]) == [text.removeprefix("a road ")]
    asked = TransformersCaptioner(family("llava").folder, prompt="a dog , a box", new_tokens=LENGTH)
    said = asked.processor.tokenizer.decode(asked.inputs(frames[0])["input_ids"][0])
    assert said.endswith("a dog , a box ASSISTANT :")


@pytest.mark.parametrize("name", ["blip", "llava", "vision-encoder-decoder"])
def test_an_answer_for_each_beam(name: str, family: Any, frames: list[np.ndarray]) -> None:
    captioner = TransformersCaptioner(family(name).folder, beams=3, new_tokens=LENGTH)
    [wanted] = by_hand(family(name), frames[:1], beams=3)
    assert captioner.captions(frames[0]) == [answer for answer, _ in wanted]
    assert len(wanted) == 3
    assert len(set(wanted)) > 1


def test_nothing_is_sampled_nor_kept_for_gradients(
    family: Any, frames: list[np.ndarray], tmp_path: Path
) -> None:
    before = family("llava").folder
    folder = copied(before, tmp_path / "hot")
    wanted = [TransformersCaptioner(before, new_tokens=LENGTH).captions(frame) for frame in frames]
    path = folder / "generation_config.json"
    hot = json.loads(path.read_text()) | {"do_sample": True, "temperature": 9.0, "top_k": 5, "max_length": 3}
    path.write_text(json.dumps(hot))
    captioner, modes = TransformersCaptioner(folder, new_tokens=LENGTH), []
    captioner.model.lm_head.register_forward_hook(lambda *_: modes.append(torch.is_inference_mode_enabled()))
    assert [captioner.captions(frame) for frame in frames] == wanted
    assert modes
    assert all(modes)
    assert len(modes) <= LENGTH * len(frames)


def test_a_template_may_come_with_the_tokenizer_or_not_at_all(
    family: Any, frames: list[np.ndarray], tmp_path: Path
) -> None:
    old = copied(family("llava").folder, tmp_path / "old")
    template = (old / "chat_template.jinja").read_text()
    (old / "chat_template.jinja").unlink()
    plain = TransformersCaptioner(old).inputs(frames[0])["input_ids"]
    tokenizer = hf.AutoTokenizer.from_pretrained(old)
    text = f"{'<image>' * 16}\n{QUESTION}"
    assert plain.tolist() == tokenizer(text, return_tensors="pt")["input_ids"].tolist()
    settings = old / "tokenizer_config.json"
    held = json.loads(settings.read_text())
    settings.write_text(json.dumps(held | {"chat_template": template}))
    asked = TransformersCaptioner(old).inputs(frames[0])["input_ids"]
    usual = TransformersCaptioner(family("llava").folder).inputs(frames[0])["input_ids"]
    assert asked.tolist() == usual.tolist() != plain.tolist()
    # One made for text alone would print the picture as a Python dictionary: it is passed over.
    settings.write_text(json.dumps(held | {"chat_template": "{{ messages[0]['content'] }}"}))
    assert TransformersCaptioner(old).inputs(frames[0])["input_ids"].tolist() == plain.tolist()


def test_thinking_aloud_is_switched_off(family: Any, frames: list[np.ndarray], tmp_path: Path) -> None:
    folder = copied(family("qwen2_vl").folder, tmp_path / "thinks")
    with (folder / "chat_template.jinja").open("a") as file:
        file.write("{% if enable_thinking is not defined or enable_thinking %}a ladder{% endif %}")
    usual = TransformersCaptioner(family("qwen2_vl").folder).inputs(frames[0])["input_ids"]
    assert TransformersCaptioner(folder).inputs(frames[0])["input_ids"].tolist() == usual.tolist()


def copied(folder: Path, to: Path, without: str = "") -> Path:
    """A copy of a small checkpoint, less one file."""
    to.mkdir()
    for path in folder.iterdir():
        if path.name != without:
            (to / path.name).write_bytes(path.read_bytes())
    return to


def refusal(folder: Path, **naming: Any) -> str:
    with pytest.raises(ModelError) as caught:
        open_tagger(NamingSettings(names="tags", tagger=str(folder), **naming))
    assert "\n" not in str(caught.value).strip()
    return str(caught.value)


@pytest.mark.parametrize(
    ("lacks", "says"),
    [
        (
            "preprocessor_config.json",
            r"no processor_config.json or preprocessor_config.json; fetch every .json",
        ),
        ("tokenizer.json", r"lacks the tokenizer: no tokenizer.json"),
        ("model.safetensors", r"no .safetensors file; other formats can hold code"),
        ("config.json", r"holds no tagger that we know"),
    ],
)
def test_a_missing_file_is_named(lacks: str, says: str, family: Any, tmp_path: Path) -> None:
    folder = copied(family("blip").folder, tmp_path / "x", without=lacks)
    if lacks == "model.safetensors":
        torch.save({}, folder / "pytorch_model.bin")
    assert says in refusal(folder)


def test_what_is_no_captioner_says_so(family: Any, tmp_path: Path) -> None:
    folder = copied(family("blip").folder, tmp_path / "x")
    path = folder / "config.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"model_type": "bert"}))
    assert "'bert', which is no picture-to-text family" in refusal(folder)
    path.write_text("[]")
    assert "no transformers checkpoint" in refusal(folder)
    path.write_text("{")
    assert "no transformers checkpoint" in refusal(folder)
    path.write_text(json.dumps(whole))
    with pytest.raises(ConfigError, match="--tagger-threshold is RAM's, and"):
        open_tagger(NamingSettings(names="tags", tagger=str(folder), tagger_threshold="paper"))


def test_a_package_that_is_not_there_is_named(family: Any, tmp_path: Path) -> None:
    from importlib.util import find_spec

    if find_spec("num2words") is None:
        assert "pip install num2words" in refusal(family("smolvlm").folder)
    if find_spec("torchvision") is None:
        folder = copied(family("blip").folder, tmp_path / "x")
        kind = {"image_processor_type": "Llama4ImageProcessor"}
        (folder / "preprocessor_config.json").write_text(json.dumps(kind))
        assert "torchvision" in refusal(folder).lower()


def test_what_a_family_does_not_take_is_said(
    family: Any, frames: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = TransformersCaptioner(family("blip").folder, new_tokens=LENGTH)
    prepared = captioner.inputs(frames[0])
    monkeypatch.setattr(captioner, "inputs", lambda image: prepared | {"depth": prepared["pixel_values"]})
    with pytest.raises(ModelError, match=r"a blip refuses to write: .*depth"):
        captioner.captions(frames[0])
    monkeypatch.undo()
    monkeypatch.setattr(captioner.model, "generate", lambda **given: torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(ModelError, match="in a way that we cannot follow"):
        captioner.captions(frames[0])


def test_weights_of_another_release_are_refused(family: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copied(family("llava").folder, tmp_path / "x")
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "multi_modal_projector" in name)
    save_file({k: v for k, v in weights.items() if k != gone}, folder / "model.safetensors", {"format": "pt"})
    assert "the weights lack 1 tensors of a llava" in refusal(folder)


def test_code_of_a_checkpoint_is_never_run(family: Any, frames: list[np.ndarray], tmp_path: Path) -> None:
    folder, ran = copied(family("qwen2_vl").folder, tmp_path / "x"), tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Own: pass\n")
    parts = (
        "AutoConfig",
        "AutoModelForImageTextToText",
        "AutoProcessor",
        "AutoImageProcessor",
        "AutoTokenizer",
    )
    for name in ("config.json", "processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        held = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(held | {"auto_map": dict.fromkeys(parts, "own.Own")}))
    captioner = TransformersCaptioner(folder, new_tokens=LENGTH)
    usual = TransformersCaptioner(family("qwen2_vl").folder, new_tokens=LENGTH)
    assert captioner.captions(frames[0]) == usual.captions(frames[0])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own_vl"}))
    assert "brings its own code, which is never run" in refusal(folder)
    assert not ran.exists()


def test_the_note_of_where_an_answer_begins_changes_nothing() -> None:
    begun, scores = _Begun(), torch.randn(2, 5)
    assert begun(torch.zeros(2, 7), scores) is scores
    begun(torch.zeros(2, 8), scores)
    assert begun.at == 7


def test_words_in_captions() -> None:
    words = frozenset({"traffic cone", "cone", "dog", "ferry", "box"})
    assert words_in("Three traffic cones, two ferries and a DOG.", words) == ["traffic cone", "ferry", "dog"]
    assert words_in("boxes; a boxer", words) == ["box"]
    assert words_in("", words) == []
    assert words_in("Dog, traffic cone,box.\n- cones", words) == ["dog", "traffic cone", "box", "cone"]


def test_caption_votes() -> None:
    class Says:
        def captions(self, image: np.ndarray) -> list[str]:
            return ["a dog and a dog on a road", "a box"]

    image = colour_picture("red")
    [features] = ColourEncoder().encode_images([image])
    tags = CaptionTagger(Says(), ["dog", "box", "road"]).tag(image, features)
    assert {t.word: t.score for t in tags} == {"dog": 0.5, "box": 0.5, "road": 0.5}


def test_frames_together_and_alone_get_equal_names(family: Any, tmp_path: Path) -> None:
    listed = tmp_path / "words.txt"
    listed.write_text("\n".join(word for word in WORDS if word.isalpha()), "utf-8")
    tagger = open_tagger(
        NamingSettings(names="tags", tagger=str(family("qwen2_vl").folder), tags=str(listed))
    )
    assert isinstance(tagger, CaptionTagger)
    method = Clipomaly(ColourEncoder(), ColourEncoder.settings(names="tags"), tagger=tagger)
    images = [colour_picture("green", box="red"), colour_picture("green", box="cyan", size=(75, 101))]
    check_method(method, images, colour_vocabulary("green", "blue"))
    for image, prediction in zip(images, method.predict(images, colour_vocabulary("green")), strict=True):
        [answer] = tagger.captioner.captions(image)
        said = set(words_in(answer, frozenset(tagger.words)))
        candidates = [c for finding in prediction.findings for c in finding.candidates]
        assert {c.name for c in candidates} <= said
        assert {c.source for c in candidates} <= {"caption"}


def test_a_captioner_on_the_command_line(family: Any, tmp_path: Path) -> None:
    given = family("qwen2_vl")
    grid = np.random.default_rng(5).integers(0, 256, (6, 9, 3), np.uint8)
    frame = np.asarray(Image.fromarray(grid).resize((160, 90), Image.Resampling.BICUBIC))
    Image.fromarray(frame).save(tmp_path / "frame.png")
    listed = tmp_path / "words.txt"
    listed.write_text("\n".join(word for word in WORDS if word.isalpha()), "utf-8")
    settings = ["--names", "tags", "--tagger", given.folder, "--tags", listed, "--threshold", "percentile"]
    command = ["segment", tmp_path / "frame.png", *settings, "--percentile", "80", "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-m", "clipomaly", *map(str, command)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    [row] = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    candidates = [c for finding in row["findings"] for c in finding["candidates"]]
    [answer] = TransformersCaptioner(given.folder).captions(frame)
    said = set(words_in(answer, frozenset(load_words(listed))))
    assert candidates
    assert {c["name"] for c in candidates} <= said
    assert {c["source"] for c in candidates} == {"caption"}


def test_families_are_told_by_their_own_names() -> None:
    """A name misspelt in our table of prompts would pass unseen: the general way takes over."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KINDS

    from clipomaly.encoders.captioner import PROMPTS

    assert set(PROMPTS) <= set(KINDS)
