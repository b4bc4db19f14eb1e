"""Builds the dictionary of names from WordNet, public name lists and two hand-written lists.

    python tools/build_dictionary.py --wordnet /usr/share/wordnet --common american-english-small \\
        --tags ram_tag_list.txt --names clip_vitb32_text_vectors.npz

What it reads
    --wordnet   the folder of WordNet 3.0 (data.noun, index.noun, index.adj, index.verb, cntlist.rev);
                Debian's package wordnet-base has it
    --common    a list of common English words, one a line; Debian's package wamerican-small (SCOWL) has it.
                It only decides which WordNet words are plain enough; nothing is taken from it
    --tags      the Recognize Anything tag list, one tag a line
    --names     an .npz with string arrays lvis_names and oid_names; only the names are read
    rules       tools/dictionary_rules.toml: which WordNet branches count, and why others do not
    hand lists  words/airside.txt and words/road.txt beside the output, each with `# broader: name` headings

What it writes, into --out (the package's words folder)
    dictionary.txt   one name a line, sorted
    synonyms.tsv     canonical name, then its synonyms; the table behind "the name is right"
    broader.tsv      name, broader name: about forty broad names, so that a report can group

A name passes when WordNet knows it as a *concrete thing* (one of its everyday senses lies under an allowed
root and under no denied one) and somebody would *say* it (it stands in a visual name list, or all its words
are common). Of each synset only the plainest name becomes an entry; the others become its synonyms, so that
two entries never compete for the same thing. The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
WORDS = ROOT / "src" / "clipomaly" / "naming" / "words"
RULES = Path(__file__).resolve().parent / "dictionary_rules.toml"

# Part-of-speech digits of WordNet's sense keys (lemma%digit:…).
NOUN, VERB, ADJECTIVE, ADVERB, SATELLITE = "1", "2", "3", "4", "5"

# The one reason of [deny_words] that is about the word, not about the thing.
PLAINER = "another name is plainer"


# --- WordNet ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Synset:
    """One meaning: its words in WordNet's order, its sense-key stems, and the meanings above it."""

    words: tuple[str, ...]
    keys: tuple[str, ...]
    above: tuple[str, ...]
    is_instance: bool


@dataclass
class WordNet:
    """The noun part of WordNet, and how often each word was tagged as what in its corpus."""

    synsets: dict[str, Synset]
    senses: dict[str, tuple[str, ...]]  # lemma (with underscores) → synset offsets, commonest first
    other_parts: dict[str, set[str]]  # lemma → {"adjective", "verb"} where it is also one
    tagged: Counter[str]  # sense key → count
    tagged_as: Counter[tuple[str, str]]  # (lemma, part-of-speech digit) → count
    below: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for offset, synset in self.synsets.items():
            for parent in synset.above:
                self.below[parent].append(offset)

    def resolve(self, reference: str) -> str:
        """The offset behind "crane#4" (fourth noun sense of crane; without a number, the first)."""
        lemma, _, number = reference.partition("#")
        senses = self.senses.get(lemma.replace(" ", "_"), ())
        position = int(number or 1)
        if position > len(senses):
            raise SystemExit(f"rules: WordNet has no noun sense {reference!r}; correct dictionary_rules.toml")
        return senses[position - 1]

    def branch(self, references: Iterable[str]) -> set[str]:
        """All meanings at or below the given ones."""
        found: set[str] = set()
        waiting = [self.resolve(reference) for reference in references]
        while waiting:
            offset = waiting.pop()
            if offset not in found:
                found.add(offset)
                waiting.extend(self.below[offset])
        return found

    def everyday_senses(self, lemma: str) -> list[str]:
        """The noun senses of a word that are not names of individuals, commonest first."""
        return [o for o in self.senses.get(lemma, ()) if not self.synsets[o].is_instance]

    def count(self, lemma: str, offset: str) -> int:
        """How often the word was tagged with this meaning."""
        synset = self.synsets[offset]
        for word, key in zip(synset.words, synset.keys, strict=True):
            if word.lower() == lemma:
                return self.tagged[key]
        return 0


def _data_lines(path: Path) -> Iterator[str]:
    """The lines of a WordNet file without its licence header (lines that begin with two spaces)."""
    with path.open(encoding="utf-8") as lines:
        yield from (line.rstrip("\n") for line in lines if not line.startswith("  "))


def read_wordnet(folder: Path) -> WordNet:
    """Parse the noun files of a WordNet 3.0 folder."""
    for name in ("data.noun", "index.noun", "index.adj", "index.verb", "cntlist.rev"):
        if not (folder / name).is_file():
            raise SystemExit(
                f"{folder / name} is missing: give the folder of WordNet 3.0 (package wordnet-base)"
            )
    synsets: dict[str, Synset] = {}
    for line in _data_lines(folder / "data.noun"):
        fields = line.partition(" | ")[0].split()
        offset, file_number, words_count = fields[0], fields[1], int(fields[3], 16)
        words = tuple(fields[4 + 2 * i] for i in range(words_count))
        lexical_ids = [int(fields[5 + 2 * i], 16) for i in range(words_count)]
        keys = tuple(
            f"{word.lower()}%{NOUN}:{file_number}:{number:02d}::"
            for word, number in zip(words, lexical_ids, strict=True)
        )
        start = 4 + 2 * words_count
        pointers = [fields[start + 1 + 4 * i : start + 5 + 4 * i] for i in range(int(fields[start]))]
        above = tuple(pointer[1] for pointer in pointers if pointer[0] in ("@", "@i"))
        synsets[offset] = Synset(words, keys, above, any(pointer[0] == "@i" for pointer in pointers))

    senses: dict[str, tuple[str, ...]] = {}
    for line in _data_lines(folder / "index.noun"):
        fields = line.split()
        senses[fields[0]] = tuple(fields[6 + int(fields[3]) :])
    other_parts: dict[str, set[str]] = defaultdict(set)
    for part, name in (("adjective", "index.adj"), ("verb", "index.verb")):
        for line in _data_lines(folder / name):
            other_parts[line.split(" ", 1)[0]].add(part)

    tagged: Counter[str] = Counter()
    tagged_as: Counter[tuple[str, str]] = Counter()
    for line in _data_lines(folder / "cntlist.rev"):
        key, _, number = line.split()
        tagged[key] += int(number)
        lemma, _, rest = key.partition("%")
        tagged_as[lemma, rest[0]] += int(number)
    return WordNet(synsets, senses, dict(other_parts), tagged, tagged_as)


# --- rules and lists -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """tools/dictionary_rules.toml, read."""

    allow: list[str]
    listed_only: list[str]
    deny: dict[str, str]
    deny_words: dict[str, str]
    keep: list[str]
    phrases: set[str]
    wrong_synonyms: set[str]
    same: list[list[str]]
    alike: list[list[str]]
    broader: list[tuple[str, list[str]]]
    broader_of: dict[str, str]


def read_rules(path: Path) -> Rules:
    """Read the rules; word lists are space- or comma-separated strings for the reader's comfort."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))

    def names(text: str) -> list[str]:
        return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]

    return Rules(
        allow=names(raw["allow"]),
        listed_only=names(raw["listed_only"]),
        deny={name: reason for reason, text in raw["deny"].items() for name in names(text)},
        deny_words={name: reason for reason, text in raw["deny_words"].items() for name in names(text)},
        keep=names(raw["keep"]),
        phrases=set(names(raw["phrases"])),
        wrong_synonyms=set(names(raw["wrong_synonyms"])),
        same=[names(line) for line in raw["same"]],
        alike=[names(line) for line in raw["alike"]],
        broader=[(name, names(text)) for name, text in raw["broader"].items()],
        broader_of={name: broad for broad, text in raw["broader_of"].items() for name in names(text)},
    )


def plain(name: str) -> str:
    """A name as a person writes it: lower case, blanks for underscores, no note in brackets.

    >>> plain("Sofa_(furniture)")
    'sofa'
    """
    name = re.sub(r"[(（].*?[)）]", "", name)
    return " ".join(name.replace("_", " ").lower().split())


def spelling(name: str) -> str:
    """What two spellings of one name have in common: no hyphens, blanks or apostrophes, singular last word.

    >>> spelling("t-shirts") == spelling("t shirt")
    True
    """
    joined = re.sub(r"[-' ]", "", name)
    if len(joined) > 4 and joined.endswith("ies"):
        return joined[:-3] + "y"
    if len(joined) > 4 and joined.endswith(("ches", "shes", "xes", "sses")):
        return joined[:-2]
    if len(joined) > 3 and joined.endswith("s") and not joined.endswith(("ss", "us", "is")):
        return joined[:-1]
    return joined


def read_hand_list(path: Path) -> dict[str, str]:
    """A hand-written list: name → broader name, from the `# broader:` heading above it."""
    found: dict[str, str] = {}
    broader = ""
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        line = raw.strip()
        if line.startswith("# broader:"):
            broader = line.removeprefix("# broader:").strip()
        elif line and not line.startswith("#"):
            if not broader:
                raise SystemExit(f"{path.name}:{number}: {line!r} stands before any `# broader:` heading")
            found.setdefault(plain(line), broader)
    return found


# --- the filters -----------------------------------------------------------------------------------------


@dataclass
class Removed:
    """What each filter took away, for the report."""

    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __call__(self, reason: str, name: str) -> None:
        self.names[reason].append(name)

    def report(self, examples: int = 6) -> str:
        """One line a filter: how many, and the first and some later examples."""
        lines = []
        for reason, names in sorted(self.names.items()):
            unique = sorted(set(names))
            shown = unique[:: max(1, len(unique) // examples)][:examples]
            lines.append(f"  {len(unique):6d}  {reason}: {', '.join(shown)}")
        return "\n".join(lines)


def is_wellformed(name: str) -> bool:
    """At most three words of ASCII letters, hyphens and apostrophes, and longer than two letters."""
    return bool(re.fullmatch(r"[a-z][a-z'-]*( [a-z][a-z'-]*){0,2}", name)) and len(name) > 2


def is_mostly_noun(wordnet: WordNet, lemma: str, offset: str) -> bool:
    """False for words met mainly as adjective or verb ("imperial", "entire", "cast")."""
    here = wordnet.count(lemma, offset)
    parts = wordnet.other_parts.get(lemma, set())
    as_adjective = sum(wordnet.tagged_as[lemma, digit] for digit in (ADJECTIVE, SATELLITE))
    if "adjective" in parts and here <= as_adjective:
        return False
    return not ("verb" in parts and wordnet.tagged_as[lemma, VERB] > 2 * (here + 1))


def is_everyday_sense(wordnet: WordNet, lemma: str, offset: str) -> bool:
    """The first sense of the word, or one that holds a fifth of its tagged uses."""
    senses = wordnet.everyday_senses(lemma)
    if offset not in senses:
        return False
    counts = [wordnet.count(lemma, sense) for sense in senses]
    position = senses.index(offset)
    return position == 0 or counts[position] >= 0.2 * max(1, sum(counts))


@dataclass(frozen=True)
class Branches:
    """The allowed meanings, those allowed only for listed names, and the denied ones with reasons."""

    allowed: set[str]
    listed_only: set[str]
    denied: dict[str, str]

    @classmethod
    def of(cls, wordnet: WordNet, rules: Rules) -> Branches:
        denied: dict[str, str] = {}
        for reference, reason in rules.deny.items():
            for offset in wordnet.branch([reference]):
                denied.setdefault(offset, reason)
        listed = wordnet.branch(rules.listed_only)
        return cls(wordnet.branch(rules.allow) | listed, listed, denied)


def choose_names(
    wordnet: WordNet,
    rules: Rules,
    branches: Branches,
    listed: dict[str, int],
    common: set[str],
    removed: Removed,
) -> dict[str, str]:
    """WordNet's own words that pass every filter: name → synset offset."""
    chosen: dict[str, str] = {}
    for offset in sorted(branches.allowed):
        synset = wordnet.synsets[offset]
        if offset in branches.denied:
            removed(f"denied branch, {branches.denied[offset]}", plain(synset.words[0]))
            continue
        if synset.is_instance:
            removed("an individual's name", plain(synset.words[0]))
            continue
        denied_by = denying_word(wordnet, rules, branches, offset)
        if denied_by:
            removed(f"denied, {rules.deny_words[denied_by]}", denied_by)
            continue
        candidates = []
        for order, word in enumerate(synset.words):
            lemma, name = word.lower(), plain(word)
            in_list = name in listed
            if not is_wellformed(name):
                removed("more than three words, or odd characters", name)
            elif name in rules.deny_words:
                removed(f"denied, {rules.deny_words[name]}", name)
            elif word != lemma and not in_list:
                removed("a proper or Latin name", name)
            elif not in_list and not is_everyday_sense(wordnet, lemma, offset):
                removed("not an everyday sense of the word", name)
            elif in_list and not in_order(wordnet, lemma, offset, branches):
                removed("another sense of a listed name fits better", name)
            elif not in_list and offset in branches.listed_only:
                removed("in a branch where only listed names pass", name)
            elif not in_list and not all(part in common for part in re.split("[ -]", name)):
                removed("not a common word", name)
            elif not in_list and re.search("[ -]", name) and name not in rules.phrases:
                removed("a phrase that neither a list nor the rules have", name)
            elif not in_list and not is_mostly_noun(wordnet, lemma, offset):
                removed("mostly an adjective or a verb", name)
            else:
                candidates.append((-listed.get(name, 0), -wordnet.count(lemma, offset), order, name))
        if candidates:
            best = min(candidates)[3]
            chosen.setdefault(best, offset)
            for _, _, _, name in sorted(candidates):
                if name != best:
                    removed("a synonym of a plainer name", name)
    return chosen


def denying_word(wordnet: WordNet, rules: Rules, branches: Branches, offset: str) -> str:
    """The denied word that takes its whole synset along, or "".

    A word denied only because another name is plainer leaves its synset to that name; a word denied as no
    thing for a road must not come back under a rarer name.
    """
    for word in wordnet.synsets[offset].words:
        reason = rules.deny_words.get(plain(word), PLAINER)
        if reason != PLAINER and in_order(wordnet, word.lower(), offset, branches):
            return plain(word)
    return ""


def in_order(wordnet: WordNet, lemma: str, offset: str, branches: Branches) -> bool:
    """True when this is the commonest sense of the word that is allowed and not denied."""
    for sense in wordnet.everyday_senses(lemma):
        if sense in branches.allowed and sense not in branches.denied:
            return sense == offset
    return False


def kept_sense(wordnet: WordNet, branches: Branches, reference: str) -> str:
    """The meaning of a kept name: the numbered one, else its first sense that is a concrete thing."""
    lemma, _, number = reference.replace(" ", "_").partition("#")
    fitting = [] if number else [o for o in wordnet.everyday_senses(lemma) if o in branches.allowed]
    return next((o for o in fitting if o not in branches.denied), wordnet.resolve(reference))


def add_listed(
    chosen: dict[str, str],
    wordnet: WordNet,
    rules: Rules,
    branches: Branches,
    listed: dict[str, int],
    trusted: set[str],
    removed: Removed,
) -> dict[str, str]:
    """Listed names that WordNet lacks as they stand, judged by their last word ("bath towel" → towel)."""
    taken_offsets = set(chosen.values())
    added: dict[str, str] = {}
    for name in sorted(listed):
        lemma = name.replace(" ", "_")
        head = name.rsplit(" ", 1)[-1]
        if name in chosen:
            continue
        if name in rules.deny_words:
            removed(f"denied, {rules.deny_words[name]}", name)
        elif not is_wellformed(name):
            removed("more than three words, or odd characters", name)
        elif lemma in wordnet.senses:
            if not any(offset in taken_offsets for offset in wordnet.senses[lemma]):
                removed("listed, but not a concrete thing of this dictionary", name)
        elif " " in name:
            heads = [*wordnet.everyday_senses(head), *wordnet.everyday_senses(head.rstrip("s"))]
            first = heads[0] if heads else ""
            fits = first in branches.allowed and first not in branches.denied
            # A tag list also holds scenes ("beach house"): there the head must fit by its first sense.
            # The object lists hold things only: any fitting sense will do.
            if not fits and name in trusted:
                first = next((o for o in heads if o in branches.allowed and o not in branches.denied), "")
            if first in branches.allowed and first not in branches.denied:
                added[name] = first
            else:
                removed("listed, but its last word is no concrete thing", name)
        elif name.endswith("s") and name[:-1] in chosen:
            removed("a plural", name)
        else:
            removed("listed, but unknown to WordNet", name)
    return added


# --- synonyms and broader names --------------------------------------------------------------------------


def fold(names: dict[str, str], same: list[list[str]], removed: Removed) -> None:
    """Drop all but the first present name of each group of one meaning, so that two never compete."""
    for group in same:
        present = [name for name in group if name in names]
        for other in present[1:]:
            removed("another name for a thing that is already there", other)
            del names[other]


def synonym_table(
    names: dict[str, str], wordnet: WordNet, rules: Rules, listed: dict[str, int], common: set[str]
) -> dict[str, list[str]]:
    """Canonical name → synonyms; every name stands in at most one row, so two names agree when they share it.

    The rows are the hand-written groups (joined where they share a name) and the other words of the synset
    behind each entry.
    """
    row_of: dict[str, str] = {}  # name → first name of its row
    rows: dict[str, list[str]] = {}

    def join(first: str, second: str) -> None:
        one, two = row_of.setdefault(first, first), row_of.setdefault(second, second)
        rows.setdefault(one, [one])
        rows.setdefault(two, [two])
        if one != two:
            for name in rows[two]:
                row_of[name] = one
            rows[one] += rows.pop(two)

    for group in [*rules.alike, *rules.same]:
        for other in group[1:]:
            join(group[0], other)
    for name in sorted(names):
        offset = names[name]
        lemma = name.replace(" ", "_")
        if not offset or lemma not in (word.lower() for word in wordnet.synsets[offset].words):
            continue
        for word in wordnet.synsets[offset].words:
            synonym = plain(word)
            said = synonym in listed or all(part in common for part in re.split("[ -]", synonym))
            if (
                word == word.lower()
                and said
                and synonym not in names
                and synonym not in row_of
                and synonym not in rules.wrong_synonyms
                and not synonym.endswith((" tree", " vine", " bush", " plant"))
                and is_wellformed(synonym)
                and is_everyday_sense(wordnet, word, offset)
                and is_mostly_noun(wordnet, word, offset)
            ):
                join(name, synonym)

    table = {}
    for first, members in rows.items():
        # The row is called by a name of the dictionary where it has one.
        canonical = first if first in names else min((m for m in members if m in names), default=first)
        if canonical in names:
            table[canonical] = sorted(set(members) - {canonical})
    return {canonical: table[canonical] for canonical in sorted(table)}


def broader_name(offset: str, wordnet: WordNet, anchors: dict[str, str]) -> str:
    """The nearest broad name above a meaning (breadth first, so the shortest way up wins)."""
    level, seen = [offset], {offset}
    while level:
        for current in level:
            if current in anchors:
                return anchors[current]
        level = [up for current in level for up in wordnet.synsets[current].above if up not in seen]
        seen.update(level)
    return "thing"


# --- the build -------------------------------------------------------------------------------------------

HEADER = """\
# Names of things that can lie, stand or move on a road or an apron. One name a line, sorted.
# Built by tools/build_dictionary.py; change the rules or the hand lists, not this file.
# Sources: WordNet 3.0, (c) 2006 Princeton University, WordNet licence; the Recognize Anything tag list,
# Apache-2.0; category names of LVIS and Open Images (names only); airside.txt and road.txt, hand-written.
# Full notices: LICENSES.md beside this file.
"""


@dataclass(frozen=True)
class Built:
    """The three files, as text, and the report."""

    dictionary: str
    synonyms: str
    broader: str
    report: str


def build(
    wordnet: WordNet,
    rules: Rules,
    common: set[str],
    tags: list[str],
    things: list[str],
    hand: dict[str, str],
) -> Built:
    """Everything but reading and writing: lists in, file contents out."""
    removed = Removed()
    # Object lists weigh more than the tag list when the plainest word of a synset is chosen.
    listed = {plain(name): 1 for name in tags} | {plain(name): 2 for name in things}
    listed = {name: weight for name, weight in listed.items() if name}
    branches = Branches.of(wordnet, rules)
    chosen = choose_names(wordnet, rules, branches, listed, common, removed)
    extra = add_listed(chosen, wordnet, rules, branches, listed, {plain(name) for name in things}, removed)
    names: dict[str, str] = {**extra, **chosen}
    for name in rules.keep:
        lemma, _, _ = name.partition("#")
        names.setdefault(lemma, kept_sense(wordnet, branches, name))
    for name in hand:
        names.setdefault(name, "")

    # One spelling a name: hand-written wins, then object lists, then tags, then the shorter.
    by_spelling: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_spelling[spelling(name)].append(name)
    for group in by_spelling.values():
        group.sort(key=lambda n: (n not in hand, -listed.get(n, 0), len(n), n))
        for other in group[1:]:
            removed("another spelling or a plural", other)
            del names[other]

    fold(names, rules.same, removed)

    table = synonym_table(names, wordnet, rules, listed, common)
    anchors = {wordnet.resolve(ref): broad for broad, refs in rules.broader for ref in refs}
    by_hand = {**rules.broader_of, **hand}
    broad = {
        name: by_hand.get(name) or broader_name(offset, wordnet, anchors) for name, offset in names.items()
    }
    known = {broad_name for broad_name, _ in rules.broader} | {"thing"}
    wrong = sorted({f"{name} → {b}" for name, b in broad.items() if b not in known})
    if wrong:
        raise SystemExit(f"hand lists use broad names that the rules do not have: {', '.join(wrong[:5])}")

    lines = [
        f"WordNet gave {len(chosen)} names, the lists {len(extra)} more, the hand lists {len(hand)}; "
        f"{len(names)} stay; {len(table)} rows of synonyms, {len(set(broad.values()))} broad names",
        "removed:",
        removed.report(),
        "broad names: " + ", ".join(f"{b} {c}" for b, c in Counter(broad.values()).most_common()),
    ]
    return Built(
        dictionary=HEADER + "".join(f"{name}\n" for name in sorted(names)),
        synonyms="# canonical name, then its synonyms, by tabs; two names agree when they stand in one row.\n"
        "# From WordNet 3.0 and by hand (tools/dictionary_rules.toml).\n"
        + "".join("\t".join([canonical, *synonyms]) + "\n" for canonical, synonyms in table.items()),
        broader="# name, broader name, tab-separated; from WordNet 3.0 and by hand\n"
        + "".join(f"{name}\t{broad[name]}\n" for name in sorted(names)),
        report="\n".join(lines),
    )


def main(arguments: list[str] | None = None) -> None:
    """Read the inputs named on the command line, build, write, print what was removed."""
    parser = argparse.ArgumentParser(description="Build the dictionary of names.")
    parser.add_argument("--wordnet", type=Path, required=True, help="folder of WordNet 3.0")
    parser.add_argument("--common", type=Path, required=True, help="common words, one a line")
    parser.add_argument("--tags", type=Path, required=True, help="Recognize Anything tags, one a line")
    parser.add_argument("--names", type=Path, required=True, help=".npz with lvis_names and oid_names")
    parser.add_argument("--rules", type=Path, default=RULES, help="rules file")
    parser.add_argument("--hand", type=Path, default=WORDS, help="folder of airside.txt and road.txt")
    parser.add_argument("--out", type=Path, default=WORDS, help="folder to write into")
    options = parser.parse_args(arguments)

    with np.load(options.names, allow_pickle=False) as arrays:
        things = [str(name) for key in ("lvis_names", "oid_names") for name in arrays[key]]
    hand: dict[str, str] = {}
    for name in ("airside.txt", "road.txt"):
        hand = {**read_hand_list(options.hand / name), **hand}
    built = build(
        read_wordnet(options.wordnet),
        read_rules(options.rules),
        {line.strip() for line in options.common.read_text(encoding="utf-8").splitlines()},
        options.tags.read_text(encoding="utf-8").splitlines(),
        things,
        hand,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "dictionary.txt").write_text(built.dictionary, encoding="utf-8")
    (options.out / "synonyms.tsv").write_text(built.synonyms, encoding="utf-8")
    (options.out / "broader.tsv").write_text(built.broader, encoding="utf-8")
    sys.stdout.write(built.report + "\n")


if __name__ == "__main__":
    main()
