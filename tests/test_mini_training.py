"""Training mini: a few steps on synthetic pictures at a tiny scale, resume equality, labels and words."""

# ruff: noqa: E402

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from clipomaly.commands.train_mini import run_train_mini
from clipomaly.encoders.mini.modeling import MiniCLIPModel, mini_config
from clipomaly.encoders.mini.tokenizer import build_tokenizer
from clipomaly.errors import ConfigError, DataError
from clipomaly.training.mini.folder import write_folder
from clipomaly.training.mini.joint import train_joint
from clipomaly.training.mini.joint_batches import make_batch
from clipomaly.training.mini.joint_losses import Objective, known_words
from clipomaly.training.mini.joint_recipe import JointRecipe
from clipomaly.training.mini.labels import CAMVID, CITYSCAPES, IGNORE, LABELS, OUTLIER, allowed
from clipomaly.training.mini.look import average_precision
from clipomaly.training.mini.material import Material
from clipomaly.training.mini.names import KNOWN, TEMPLATES, Lexicon, anchor_vectors, fill
from clipomaly.training.mini.pack import rough_mask
from clipomaly.training.mini.photos import PhotoRecipe, Photos, train_trunk
from clipomaly.training.mini.run import main, read_recipe
from clipomaly.training.mini.scenes import SceneMaker
from clipomaly.training.mini.text import train_text

ROOT = Path(__file__).resolve().parent.parent
THINGS = ["cow", "teapot", "alp", "sofa"]


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads of one operation wait for each other where other programs run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    rng = np.random.default_rng(0)
    names = THINGS + sorted({w for words in KNOWN.values() for w in words} - set(THINGS))
    targets = rng.standard_normal((len(names), 16)).astype(np.float32)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    chains = [(10 + i, 5, 1) for i in range(len(names))]
    return Lexicon(names, targets, np.ones(len(names), np.float32), chains)


@pytest.fixture(scope="module")
def material() -> Material:
    rng = np.random.default_rng(1)

    def picture(h: int, w: int) -> np.ndarray:
        return rng.integers(0, 256, (h, w, 3), dtype=np.uint8)

    photos = rng.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 12:52] = 1
    thing = np.full((224, 224), IGNORE, np.uint8)
    thing[60:160, 60:160] = OUTLIER
    road = rng.integers(0, len(LABELS), (96, 160)).astype(np.uint8)
    return Material(
        frames=[picture(96, 160) for _ in range(4)],
        frame_labels=[road] * 4,
        from_camvid=2,
        photos=photos,
        photo_class=np.arange(12) % 4,
        photo_train=np.arange(10),
        masks={0: mask, 1: mask, 3: mask},
        pictures=[picture(224, 224) for _ in range(4)],
        picture_labels=[thing] * 4,
        picture_class=np.arange(4),
        synset=np.array([10, 11, 12, 13]),
        words=[[t] for t in THINGS],
        pasted=np.array([True, True, False, True]),
        land=np.array([False, False, True, False]),
    )


@pytest.fixture(scope="module")
def tokenizer(lexicon: Lexicon):
    return build_tokenizer([fill(t, n) for t in TEMPLATES for n in lexicon.names], 640, 24)


def tiny() -> MiniCLIPModel:
    torch.manual_seed(0)
    return MiniCLIPModel(mini_config(vocabulary=640, widths=(8, 8, 8, 8), width=16, text_width=16))


RECIPE = JointRecipe(
    steps=4,
    roads=2,
    mosaics=0.5,
    pictures=0.5,
    names=4,
    words=8,
    sizes=((64, 128), (128, 128)),
    checkpoint_seconds=0.0,
)


def test_a_paste_is_labelled_and_named(material: Material) -> None:
    maker = SceneMaker(material)
    rng = np.random.default_rng(3)
    for _ in range(20):
        canvas = maker.road(64, 128, rng)
        before = canvas.label.copy()
        maker.paste(canvas, rng, unknown=True)
        assert (canvas.label == OUTLIER).any()
        assert ((canvas.name >= 0) == (canvas.label == OUTLIER)).all()
        assert set(np.unique(canvas.name[canvas.name >= 0])) <= {0, 1, 3}, "an alp is not a thing to paste"
        untouched = (canvas.label != OUTLIER) & (canvas.label != IGNORE)
        assert (canvas.label[untouched] == before[untouched]).all()


def test_a_piece_of_another_road_keeps_known_labels(material: Material) -> None:
    maker = SceneMaker(material)
    rng = np.random.default_rng(4)
    canvas = maker.road(64, 128, rng)
    for _ in range(5):
        maker.paste(canvas, rng, unknown=False)
    assert not (canvas.label == OUTLIER).any()
    assert (canvas.name == -1).all()


def test_batches_depend_on_the_seed_alone(material: Material) -> None:
    first, second = (
        make_batch(SceneMaker(material), RECIPE, np.random.default_rng(9), (64, 128)) for _ in range(2)
    )
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    assert torch.equal(first.names, second.names)


def test_labels_map_into_both_vocabularies() -> None:
    city, camvid = allowed("cityscapes"), allowed("camvid")
    for i, name in enumerate(CAMVID):
        assert camvid[i].sum() == 1, name
        assert camvid[i, i]
    for i, name in enumerate(CITYSCAPES):
        assert city[len(CAMVID) + i].sum() == 1, name
    assert not city[LABELS.index("water")].any()
    assert city[LABELS.index("camvid car")].sum() == 3
    assert len(known_words("camvid")) == 11
    assert len(known_words("cityscapes")) == 19


def test_joint_training_resumes_to_the_same_weights(
    material: Material, lexicon: Lexicon, tokenizer, tmp_path: Path
) -> None:
    from dataclasses import replace

    straight = train_joint(tiny(), tokenizer, material, lexicon, RECIPE, tmp_path / "a")
    train_joint(tiny(), tokenizer, material, lexicon, replace(RECIPE, steps=2, horizon=4), tmp_path / "b")
    resumed = train_joint(tiny(), tokenizer, material, lexicon, RECIPE, tmp_path / "b")
    start = tiny().state_dict()
    moved = 0.0
    for (name, left), right in zip(straight.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.allclose(left.float(), right.float(), atol=1e-6), name
        moved += float((left.float() - start[name].float()).abs().sum())
    assert moved > 1.0
    assert (tmp_path / "a" / "joint.csv").read_text().startswith("step,seconds,known")


def test_every_part_of_the_objective_falls_on_one_batch(
    material: Material, lexicon: Lexicon, tokenizer
) -> None:
    from clipomaly.training.mini.text import TextCoder

    model = tiny().train()
    objective = Objective(material, lexicon, RECIPE)
    batch = make_batch(SceneMaker(material), RECIPE, np.random.default_rng(2), (64, 128))
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    seen = []
    for _ in range(30):
        rng = np.random.default_rng(0)
        coder = TextCoder(model, tokenizer)
        coder.rng = rng
        loss, parts = objective(model, coder, batch, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(parts)
    assert seen[-1]["known"] < seen[0]["known"]
    assert seen[-1]["words"] < seen[0]["words"]
    first, last = (sum(RECIPE.weights[k] * v for k, v in parts.items()) for parts in (seen[0], seen[-1]))
    assert last < 0.9 * first


def test_rare_classes_are_looked_for(material: Material) -> None:
    frames = [np.zeros((120, 200), np.uint8) for _ in range(4)]
    frames[2][50:70, 90:110] = 10
    maker = SceneMaker(replace(material, frame_labels=frames))
    rng = np.random.default_rng(0)
    seen = sum(bool((maker.road(64, 128, rng).label == 10).any()) for _ in range(300))
    plain = replace(material, frame_labels=[np.zeros((120, 200), np.uint8)] * 4)
    assert not plain.rare[0]
    assert maker.material.rare[0] == {10: [2]}
    assert seen > 100  # by chance one frame in six, three windows in four of it: 37


def test_further_roads_join_the_real_frames(material: Material, tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    with pytest.raises(DataError, match="no road frames"):
        material.with_roads(tmp_path)
    cv2.imwrite(str(tmp_path / "images" / "a.jpg"), np.full((40, 60, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "labels" / "a.png"), np.full((40, 60), 12, np.uint8))
    more = material.with_roads(tmp_path)
    assert len(more.frames) == 5
    assert more.from_camvid == material.from_camvid
    assert (more.frame_labels[-1] == 12).all()


def test_the_trunk_learns_two_steps_and_resumes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = (rng.integers(0, 60, (40, 64, 64, 3)) + 150 * labels[:, None, None, None]).astype(np.uint8)
    held = np.zeros(40, bool)
    held[32:] = True
    photos = Photos(images, labels.astype(np.int64), ("dark", "light"), held)
    recipe = PhotoRecipe(epochs_small=1, epochs_full=1, batch=16, rate=0.05, widths=(8, 8, 8, 8))
    first = torch.load(train_trunk(photos, recipe, tmp_path / "a"), weights_only=True)
    assert first["epoch"] == 2
    rows = (tmp_path / "a" / "trunk.csv").read_text().splitlines()
    assert len(rows) == 3
    again = torch.load(train_trunk(photos, recipe, tmp_path / "a"), weights_only=True)
    for name, value in first["model"].items():
        assert torch.equal(value, again["model"][name]), name


def test_text_tower_moves_towards_its_targets(lexicon: Lexicon, tokenizer) -> None:
    model = tiny()
    near = train_text(model, tokenizer, lexicon, steps=80, batch=32, rate=1e-2)
    assert near > 0.2


def test_folder_opens_with_auto_model(tokenizer, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    model = tiny().eval()
    x = torch.rand(1, 3, 48, 80)
    before = model.dense(x)
    write_folder(model, tokenizer, tmp_path, RECIPE)
    opened = AutoModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert type(opened) is MiniCLIPModel
    after = opened.dense(x)
    for left, right in zip(before, after, strict=True):
        assert torch.allclose(left, right, atol=5e-3)
    texts = ["a photo of an owl.", "Ünïcode 12 cows!"]
    assert AutoTokenizer.from_pretrained(tmp_path)(texts).input_ids == tokenizer(texts).input_ids


def test_anchor_vectors_are_centred_and_unit() -> None:
    x = np.random.default_rng(0).standard_normal((50, 20)) + 3
    y = anchor_vectors([str(i) for i in range(50)], x, 8)
    assert y.shape == (50, 8)
    assert np.allclose(np.linalg.norm(y, axis=1), 1, atol=1e-5)
    assert np.abs(y.mean(0)).max() < 0.2


def test_average_precision_matches_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth = rng.random(500) < 0.2
    score = np.round(rng.random(500) + 0.3 * truth, 1)
    assert average_precision(truth, score)[0] == pytest.approx(
        100 * metrics.average_precision_score(truth, score)
    )


def test_rough_mask_finds_a_disc() -> None:
    import cv2

    image = np.full((64, 64, 3), 40, np.uint8) + np.random.default_rng(0).integers(
        0, 10, (64, 64, 3), dtype=np.uint8
    )
    cv2.circle(image, (32, 32), 16, (220, 60, 60), -1)
    mask = rough_mask(image)
    assert mask is not None
    true = np.hypot(*(np.mgrid[:64, :64] - 32)) <= 16
    assert (mask.astype(bool) & true).sum() / (mask.astype(bool) | true).sum() > 0.9


@pytest.mark.parametrize("name", ["mini-cpu.toml", "mini-gpu.toml"])
def test_recipes_are_readable(name: str) -> None:
    recipe = read_recipe(ROOT / "recipes" / name)
    assert recipe.model["widths"] == [48, 96, 192, 384]


def test_missing_scenes_or_roads_are_told_before_the_first_stage(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(f'scenes = "{tmp_path.as_posix()}"\nroads = "nowhere"\n')
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"nowhere: no such folder.*training\.mini\.roads"):
        main(["--recipe", str(recipe), "--data", str(tmp_path), "--out", str(out)])
    assert not list(out.iterdir())


def test_missing_recipe_or_data_say_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no recipe file .*none\.toml: .* recipes/mini-cpu\.toml"):
        run_train_mini(tmp_path / "none.toml", tmp_path, tmp_path / "out", "all")
    with pytest.raises(DataError, match=r"--data wants one with data/train, models and text"):
        run_train_mini(ROOT / "recipes" / "mini-cpu.toml", tmp_path, tmp_path / "out", "all")


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("[joint]\nstepz = 1\n")
    with pytest.raises(ConfigError, match="stepz"):
        read_recipe(tmp_path / "r.toml")


def test_a_pack_keeps_finished_sections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from clipomaly.training.mini import pack as module

    calls: list[str] = []

    def section(name: str):
        def make(*_: object) -> dict[str, np.ndarray]:
            calls.append(name)
            if name == "picture" and calls.count("picture") == 1:
                raise RuntimeError("stopped here")
            images = [module.encode_image(np.full((8, 8, 3), 9, np.uint8))]
            return module.joined(name, images, [module.encode_labels(np.full((8, 8), 3, np.uint8))])

        return make

    for name in ("camvid", "drive", "picture", "photo"):
        monkeypatch.setattr(module, f"{name}_section", section(name))
    with pytest.raises(RuntimeError, match="stopped here"):
        module.build_pack(tmp_path, tmp_path, tmp_path / "pack.npz")
    done = module.build_pack(tmp_path, tmp_path, tmp_path / "pack.npz")
    assert calls == ["camvid", "drive", "picture", "picture", "photo"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pack.npz"]
    with np.load(done) as file:
        at = file["drive_labels_at"]
        assert (module.decode(file["drive_labels"][at[0] : at[1]], True) == 3).all()


def test_portraits_of_rendered_things_are_tiles_and_pasted_things_with_their_names(
    material: Material, tmp_path: Path
) -> None:
    from clipomaly.training.mini import scenes
    from clipomaly.training.mini.names import WordNet

    outline = np.zeros((32, 32), np.uint8)
    outline[8:24, 8:24] = 255
    for folder, suffix, pixels in (
        ("images", "jpg", np.full((32, 32, 3), (0, 0, 250), np.uint8)),
        ("masks", "png", outline),
    ):
        path = tmp_path / "road" / folder / "armchair" / f"a.{suffix}"
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), pixels)
    more = material.with_portraits(tmp_path, WordNet({}, {}, {}))
    assert more.words[-1] == ["armchair"]
    assert not more.pasted[-1]
    cutout, mask, of = more.cutouts[-1]
    assert cutout.shape == (20, 20, 3)
    assert (mask.sum(), of) == (256, len(more.words) - 1)
    rng, maker = np.random.default_rng(0), SceneMaker(more)
    tiles = [maker.tile(64, rng) for _ in range(200)]
    shown = [(image, label) for image, label, c in tiles if c == of]
    assert 0.2 < len(shown) / 200 < 2 * scenes.PORTRAITS
    for image, label in shown:
        assert image[..., 0].mean() > 200
        assert set(np.unique(label)) <= {IGNORE, OUTLIER}
        assert 0.15 < (label == OUTLIER).mean() < 0.75
    with pytest.raises(DataError, match="world portraits"):
        material.with_portraits(tmp_path / "nothing", WordNet({}, {}, {}))


def test_rendered_scenes_bring_aprons_names_and_their_own_terms(
    material: Material, lexicon: Lexicon, tokenizer, tmp_path: Path
) -> None:
    from clipomaly.training.mini.labels import AIRSIDE, FIRST_AIRSIDE
    from clipomaly.training.mini.names import WordNet
    from clipomaly.training.mini.text import TextCoder

    for domain, vocabulary in (("apron", "airside"), ("road", "cityscapes")):
        pack = tmp_path / domain
        mask = np.zeros((96, 160), np.uint8)
        mask[30:60, 50:90] = 1
        about = {
            "unknowns": [{"instance": 5, "name": THINGS[1]}, {"instance": 6, "name": "armchair"}],
            "conditions": {"wet": 0.0},
            "vocabulary": vocabulary,
        }
        for part, name, pixels in (
            ("images", "a.jpg", np.full((96, 160, 3), 90, np.uint8)),
            ("labels_masks", "a_labels_semantic.png", mask),
            ("labels", "a.png", np.where(mask, IGNORE, 1).astype(np.uint8)),
            ("instances", "a.png", mask.astype(np.uint16) * 5),
        ):
            (pack / part).mkdir(parents=True)
            cv2.imwrite(str(pack / part / name), pixels)
        (pack / "frames").mkdir()
        (pack / "frames" / "a.json").write_text(json.dumps(about))
        (pack / "pack.json").write_text("{}")
    more = material.with_rendered(tmp_path, WordNet({}, {}, {}))
    apron, road = more.rendered_labels
    assert apron[0, 0] == FIRST_AIRSIDE + 1
    assert LABELS[apron[0, 0]] == f"airside {AIRSIDE[1]}"
    assert LABELS[road[0, 0]] == "sidewalk"
    assert apron[40, 60] == road[40, 60] == OUTLIER
    assert set(np.unique(more.rendered_names[0])) == {-1, 1}
    assert more.words[-1] == ["armchair"]
    with pytest.raises(DataError, match="no rendered frames"):
        material.with_rendered(tmp_path / "nothing", WordNet({}, {}, {}))

    model = tiny().train()
    objective = Objective(more, lexicon, RECIPE)
    maker = SceneMaker(more)
    batch = next(
        b
        for seed in range(50)
        for b in [make_batch(maker, RECIPE, np.random.default_rng(seed), (64, 128))]
        if ((b.labels >= FIRST_AIRSIDE) & (b.labels < len(LABELS))).any()
    )
    rng = np.random.default_rng(0)
    coder = TextCoder(model, tokenizer)
    coder.rng = rng
    loss, parts = objective(model, coder, batch, rng)
    assert np.isfinite(float(loss.detach()))
    assert parts["known"] > 0
