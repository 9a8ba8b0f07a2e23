"""Synonyms of single English words, from WordNet 3.1, packaged: nothing is downloaded.

`infra/build_synonyms.py` builds the table and says what it leaves out: words of colour, for one.
"""

import gzip
import string
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

TABLE = "synonyms.tsv.gz"
PUNCTUATION = string.punctuation + "“”‘’„…–—"


def bare_word(token: str) -> str:
    """The token's word without what clings to it, in small letters."""
    return token.strip(PUNCTUATION).lower()


def has_synonym(token: str) -> bool:
    """Whether the token's word is in the table."""
    return bare_word(token) in _table()


def synonyms_of(token: str) -> tuple[str, ...]:
    """The tokens that may stand in its place, the commonest sense's first; a capital and punctuation are kept."""
    if not has_synonym(token):
        return ()
    others = _table()[bare_word(token)].split()
    before, word, after = token.partition(token.strip(PUNCTUATION))
    return tuple(f"{before}{other.capitalize() if word[:1].isupper() else other}{after}" for other in others)


@cache
def _table() -> Mapping[str, str]:
    packed = files(__package__).joinpath(TABLE).read_bytes()
    rows = (line.partition("\t") for line in gzip.decompress(packed).decode().splitlines())
    return {word: others for word, _, others in rows}
