"""The shipped words: vocabularies in their public order, a dictionary of plain things, and its builder."""

from __future__ import annotations

import doctest
import importlib.util
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from clipomaly.errors import VocabularyError
from clipomaly.naming.dictionary import load_words

ROOT = Path(__file__).resolve().parent.parent
WORDS = ROOT / "src" / "clipomaly" / "naming" / "words"
VOCABULARIES = ROOT / "src" / "clipomaly" / "vocabularies"


def listed(text: str) -> list[str]:
    """Names written one after the other, with commas."""
    return [name.strip() for name in text.replace("\n", " ").split(",")]


CITYSCAPES = listed("""
road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain, sky, person,
rider, car, truck, bus, train, motorcycle, bicycle
""")
CAMVID = listed("sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist")
REASONS = {"marking", "shadow", "reflection", "known class", "artefact", "too vague"}


def lines(name: str) -> list[str]:
    """The entries of a words file, without its comments."""
    text = (WORDS / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def vocabulary(name: str) -> dict:
    return tomllib.loads((VOCABULARIES / f"{name}.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def dictionary() -> set[str]:
    return set(lines("dictionary.txt"))


# --- vocabularies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cityscapes", "camvid", "airside"])
def test_vocabulary_file_is_sound(name: str) -> None:
    table = vocabulary(name)
    assert table["schema"] == 1
    assert table["name"] == name
    assert table["title"]
    assert table["source"]
    phrases = [p for c in table["known"] for p in (c["name"], *c.get("synonyms", []))]
    phrases += [r["name"] for r in table["rejected"]]
    assert len(phrases) == len(set(phrases))
    assert all(p == " ".join(p.lower().split()) for p in phrases)
    assert {r["reason"] for r in table["rejected"]} <= REASONS
    colors = [tuple(c["color"]) for c in table["known"]]
    assert len(colors) == len(set(colors))
    assert all(len(c) == 3 and all(0 <= v <= 255 for v in c) for c in colors)
    assert [c["id"] for c in table["known"]] == list(range(len(table["known"])))
    assert all(c["group"] for c in table["known"])
    assert not table.get("candidate"), "a shipped vocabulary proposes nothing"


@pytest.mark.parametrize(("name", "order"), [("cityscapes", CITYSCAPES), ("camvid", CAMVID)])
def test_public_vocabularies_keep_their_public_order(name: str, order: list[str]) -> None:
    assert [c["name"] for c in vocabulary(name)["known"]] == order


@pytest.mark.parametrize(
    ("name", "known", "color"),
    [
        ("cityscapes", "road", [128, 64, 128]),
        ("cityscapes", "bicycle", [119, 11, 32]),
        ("cityscapes", "car", [0, 0, 142]),
        ("camvid", "sky", [128, 128, 128]),
        ("camvid", "bicyclist", [0, 128, 192]),
    ],
)
def test_public_colours(name: str, known: str, color: list[int]) -> None:
    assert {c["name"]: c["color"] for c in vocabulary(name)["known"]}[known] == color


APRON = listed("""
apron, taxiway, service road, grass, stand marking, aircraft, jet bridge, baggage tractor, baggage cart,
uld dolly, unit load device, belt loader, container loader, pushback tractor, towbar, fuel truck, hydrant
dispenser, catering truck, passenger stairs, apron bus, ground power unit, air start unit, lavatory
truck, water truck, de-icing truck, follow-me car, fire engine, snow plough, traffic cone, wheel chock,
ground crew, marshaller, terminal building, hangar, light mast, fence, blast fence, sky
""")


def test_airside_covers_the_apron() -> None:
    table = vocabulary("airside")
    known = {c["name"] for c in table["known"]}
    assert set(APRON) <= known
    parts = {s for c in table["known"] if c["name"] == "aircraft" for s in c["synonyms"]}
    assert {"fuselage", "wing of an aircraft", "engine nacelle", "landing gear"} <= parts
    rejected = {r["name"] for r in table["rejected"]}
    assert {"tyre mark", "oil stain", "puddle", "shadow", "pavement joint", "drain", "reflection"} <= rejected


# Machado, Oliveira, Fernandes (2009): full protan and deutan simulation on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def cielab(linear: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
    x = np.clip(linear, 0, 1) @ to_xyz.T / np.array([0.9505, 1.0, 1.0888])
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("vision", sorted(VISION))
def test_airside_colours_stay_apart_in_every_vision(vision: str) -> None:
    rgb = np.array([c["color"] for c in vocabulary("airside")["known"]]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab = cielab(linear @ VISION[vision].T)
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    distance[np.diag_indices(len(lab))] = np.inf
    # About 2.3 is a just noticeable difference of CIELAB; four times that is told apart at a glance.
    assert distance.min() > 9


# --- the dictionary --------------------------------------------------------------------------------------


def test_dictionary_form() -> None:
    names = lines("dictionary.txt")
    assert 3000 <= len(names) <= 6000
    assert all(a < b for a, b in pairwise(names)), "sorted, each name once"
    assert all(name == " ".join(name.lower().split()) for name in names)
    assert all(name.isascii() and len(name) > 2 and len(name.split()) <= 4 for name in names)
    head = (WORDS / "dictionary.txt").read_text(encoding="utf-8").splitlines()[:8]
    assert any("WordNet" in line and line.startswith("#") for line in head)


MUST = listed("""
suitcase, wheelbarrow, deer, ladder, mattress, tyre, tyre tread, hubcap, exhaust pipe, cardboard box,
plastic bag, plastic bottle, garbage bag, traffic cone, road barrier, warning triangle, wooden pallet,
plank, brick, stone, fallen branch, fallen tree, refrigerator, washing machine, sofa, armchair, chair,
table, bathtub, toilet, door, bucket, barrel, wooden crate, tarpaulin, rope, chain, cargo strap, cow,
horse, sheep, goat, pig, dog, cat, wild boar, fox, hare, rabbit, hedgehog, badger, zebra, elephant,
giraffe, kangaroo, camel, goose, duck, swan, pigeon, gull, crow, starling, killdeer, coyote, turtle,
snake, alligator, dead animal, stroller, wheelchair, shopping cart, skateboard, scooter, football, beach
ball, kite, drone, hot air balloon, tractor, excavator, bulldozer, forklift, caravan, trailer, boat,
canoe, tank, helicopter, airplane, glider, wheel chock, lockwire, bolt, nut, washer, rivet, safety pin,
cotter pin, fuel cap, luggage tag, headset, marshalling wand, cargo net, baggage cart, unit load device,
ground power unit, towbar, wrench, screwdriver, pliers, hammer, glove, shoe, umbrella, newspaper, mobile
phone, runway light, safety vest, static wick, pitot cover, tumbleweed, mannequin, portable toilet, oil
spill
""")


def test_dictionary_holds_what_people_meet(dictionary: set[str]) -> None:
    assert len(MUST) >= 100
    assert not [name for name in MUST if name not in dictionary]


MUST_NOT = listed("""
democracy, music, love, meeting, wedding, city, forest, mountain, beach, kitchen, bedroom, skyscraper,
bacterium, virus, aspirin, hemoglobin, einstein, homo sapiens, weapon of mass destruction, aircraft
carrier, cathedral, beard, hand, eyebrow, landscape, portrait, shadow, reflection, puddle, sunset, night
sky, soup, coffee, cocktail, black, number, font, job, equipment, device, artifact, thing, object, brass
monkey, couch, rubbish bag, lorry
""")


def test_dictionary_leaves_out_what_is_no_thing_on_a_road(dictionary: set[str]) -> None:
    assert not [name for name in MUST_NOT if name in dictionary]


@pytest.mark.parametrize("name", ["airside.txt", "road.txt"])
def test_hand_lists_are_long_and_part_of_the_dictionary(name: str, dictionary: set[str]) -> None:
    names = lines(name)
    assert len(set(names)) >= 250
    assert len(names) == len(set(names)), "each name once"
    rows = synonym_rows()
    lost = [n for n in names if n not in dictionary and rows.get(n) not in dictionary]
    # A name may also give way to another spelling of itself in the other hand list.
    folded = {n.replace(" ", "").replace("-", "") for n in dictionary}
    assert not [n for n in lost if n.replace(" ", "").replace("-", "").removesuffix("s") not in folded]


def synonym_rows() -> dict[str, str]:
    """Each name of the synonym table → the name of its row."""
    rows = {}
    for line in lines("synonyms.tsv"):
        canonical, *synonyms = line.split("\t")
        assert synonyms, line
        for name in (canonical, *synonyms):
            assert name not in rows, f"{name} stands in two rows"
            rows[name] = canonical
    return rows


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("cow", "cattle", True),
        ("cow", "bull", True),
        ("sofa", "couch", True),
        ("suitcase", "trolley case", True),
        ("tyre", "tire", True),
        ("unit load device", "uld", True),
        ("cow", "horse", False),
        ("suitcase", "backpack", False),
        ("tyre", "hubcap", False),
        ("child", "goat", False),
        ("dog", "cat", False),
    ],
)
def test_synonyms_decide_when_two_names_agree(one: str, other: str, agree: bool) -> None:
    rows = synonym_rows()
    assert (rows.get(one, one) == rows.get(other, other)) is agree


def test_synonyms_are_called_by_names_of_the_dictionary(dictionary: set[str]) -> None:
    assert set(synonym_rows().values()) <= dictionary


def test_every_name_has_one_broader_name(dictionary: set[str]) -> None:
    pairs = [line.split("\t") for line in lines("broader.tsv")]
    assert {name for name, _ in pairs} == dictionary
    assert len(pairs) == len(dictionary)
    broader = dict(pairs)
    assert len(set(broader.values())) <= 50
    assert broader["zebra"] == "animal"
    assert broader["gull"] == "bird"
    assert broader["sofa"] == "furniture"
    assert broader["excavator"] == "vehicle"
    assert broader["wheel chock"] == "ground equipment"
    assert list(broader.values()).count("thing") < 0.01 * len(broader), "few names without a group"


def test_licences_are_named() -> None:
    text = (WORDS / "LICENSES.md").read_text(encoding="utf-8")
    for part in ("Princeton University", 'PROVIDED "AS IS"', "Recognize Anything", "Apache", "LVIS"):
        assert part in text


# --- the builder, on a WordNet small enough to read ------------------------------------------------------


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_dictionary", ROOT / "tools" / "build_dictionary.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# offset, lexicographer file, words, offsets above, "@i" for an individual
TREE = [
    ("00000001", "03", ["thing"], [], "@"),
    ("00000002", "06", ["tool"], ["00000001"], "@"),
    ("00000003", "06", ["spanner", "wrench"], ["00000002"], "@"),
    ("00000004", "06", ["hammer"], ["00000002"], "@"),
    ("00000005", "06", ["house"], ["00000001"], "@"),
    ("00000006", "06", ["shed"], ["00000005"], "@"),
    ("00000007", "05", ["deer"], ["00000001"], "@"),
    ("00000008", "05", ["Cervus", "genus_Cervus"], ["00000001"], "@"),
    ("00000009", "06", ["Excalibur"], ["00000002"], "@i"),
    ("00000010", "06", ["flat"], ["00000002"], "@"),
    ("00000011", "18", ["hammer"], ["00000005"], "@"),
    ("00000012", "06", ["zymurgic_doohickey"], ["00000002"], "@"),
]

RULES = """
allow = "thing"
listed_only = "deer"
keep = ""
phrases = ""
wrong_synonyms = ""
same = []
alike = ["deer, elk"]
[deny]
"a building" = "house"
[deny_words]
"too vague" = "tool, thing"
[broader]
animal = "deer"
tool = "tool"
fastener = ""
[broader_of]
"""


def write_wordnet(folder: Path) -> None:
    folder.mkdir()
    data, index, senses = [], [], {}
    for offset, file_number, words, above, pointer in TREE:
        body = " ".join(f"{word} 0" for word in words)
        pointers = " ".join(f"{pointer} {up} n 0000" for up in above)
        data.append(f"{offset} {file_number} n {len(words):02x} {body} {len(above):03d} {pointers} | a gloss")
        for word in words:
            senses.setdefault(word.lower(), []).append(offset)
    for word, offsets in sorted(senses.items()):
        index.append(f"{word} n {len(offsets)} 1 @ {len(offsets)} 0 {' '.join(offsets)}")
    header = "  1 a licence header line\n"
    (folder / "data.noun").write_text(header + "\n".join(data) + "\n")
    (folder / "index.noun").write_text(header + "\n".join(index) + "\n")
    (folder / "index.adj").write_text("flat a 1 0 1 0 00000099\n")
    (folder / "index.verb").write_text("hammer v 1 0 1 0 00000098\n")
    (folder / "cntlist.rev").write_text("hammer%1:06:00:: 1 5\nflat%3:00:00:: 1 9\n")


def run(builder: ModuleType, folder: Path, out: str) -> dict[str, bytes]:
    builder.main(
        [
            *("--wordnet", str(folder / "wn"), "--common", str(folder / "common.txt")),
            *("--tags", str(folder / "tags.txt"), "--names", str(folder / "names.npz")),
            *("--rules", str(folder / "rules.toml"), "--hand", str(folder), "--out", str(folder / out)),
        ]
    )
    return {p.name: p.read_bytes() for p in sorted((folder / out).iterdir())}


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    write_wordnet(tmp_path / "wn")
    (tmp_path / "common.txt").write_text("spanner\nwrench\nhammer\nshed\nflat\ndeer\nhouse\n")
    (tmp_path / "tags.txt").write_text("Deer\nparty\nclaw hammer\nshed\nhammers\n")
    np.savez(tmp_path / "names.npz", lvis_names=np.array(["wrench"]), oid_names=np.array(["Hammer (tool)"]))
    (tmp_path / "airside.txt").write_text("# broader: fastener\nlockwire\n")
    (tmp_path / "road.txt").write_text("# broader: tool\njack\n")
    (tmp_path / "rules.toml").write_text(RULES)
    return tmp_path


def entries(content: bytes) -> list[str]:
    return [line for line in content.decode().splitlines() if not line.startswith("#")]


def test_builder_keeps_common_things_and_says_what_went(
    builder: ModuleType, inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = run(builder, inputs, "one")
    # wrench is the listed name of its synset; shed is a building, flat an adjective, Cervus and Excalibur
    # names, the doohickey is not a common word, a party no thing, tool and thing too vague.
    assert entries(files["dictionary.txt"]) == ["claw hammer", "deer", "hammer", "jack", "lockwire", "wrench"]
    assert entries(files["synonyms.tsv"]) == ["deer\telk", "wrench\tspanner"]
    assert entries(files["broader.tsv"]) == [
        "claw hammer\ttool",
        "deer\tanimal",
        "hammer\ttool",
        "jack\ttool",
        "lockwire\tfastener",
        "wrench\ttool",
    ]
    report = capsys.readouterr().out
    for part in (
        "denied branch, a building: hammer, house, shed",
        "an individual's name: excalibur",
        "not a common word",
    ):
        assert part in report


def test_builder_is_deterministic(builder: ModuleType, inputs: Path) -> None:
    first = run(builder, inputs, "one")
    (inputs / "tags.txt").write_text("hammers\nshed\nclaw hammer\nparty\nDeer\n")
    assert run(builder, inputs, "two") == first, "the order of an input list must not matter"


def test_builder_names_the_rule_that_is_wrong(builder: ModuleType, inputs: Path) -> None:
    (inputs / "rules.toml").write_text(RULES.replace('"house"', '"house#7"'))
    with pytest.raises(SystemExit, match="house#7"):
        run(builder, inputs, "one")


def test_builder_wants_a_broader_name_for_hand_written_names(builder: ModuleType, inputs: Path) -> None:
    (inputs / "road.txt").write_text("jack\n")
    with pytest.raises(SystemExit, match=r"road.txt:1: 'jack'"):
        run(builder, inputs, "one")
    (inputs / "road.txt").write_text("# broader: gizmo\njack\n")
    with pytest.raises(SystemExit, match="jack → gizmo"):
        run(builder, inputs, "one")


def test_shipped_rules_have_reasons(builder: ModuleType) -> None:
    rules = builder.read_rules(ROOT / "tools" / "dictionary_rules.toml")
    assert rules.deny
    assert rules.deny_words
    assert all(reason for reason in {*rules.deny.values(), *rules.deny_words.values()})
    assert not set(rules.deny_words) & set(lines("dictionary.txt"))


def test_builder_examples(builder: ModuleType) -> None:
    tried = doctest.testmod(builder)
    assert tried.attempted >= 2
    assert tried.failed == 0


def test_a_missing_word_list_says_what_may_stand_there(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"'?roads'?: there is no such file; .* airside, road$"):
        load_words("roads")
    (tmp_path / "words.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VocabularyError, match=r"words\.txt \(not text in UTF-8\): give a text file"):
        load_words(tmp_path / "words.txt")
