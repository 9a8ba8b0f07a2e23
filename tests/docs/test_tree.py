"""The README's tree is the tree."""

import re

from tests.docs.pages import ROOT, TRACKED, read

LIBRARY = "src/personsearch/"
OUTSIDE_THE_TREE = {"README.md", "LICENSE"}


def shown() -> set[str]:
    """Every file and folder in the tree, from the root; what is indented belongs to the library."""
    tree = read("README.md").partition("## The tree")[2].split("```")[1]
    found = set()
    for line in tree.strip().splitlines():
        indent, names = re.fullmatch(r"( *)(\S+(?: \S+)*)(?: {2,}.*)?", line).groups()  # type: ignore[union-attr]
        found |= {LIBRARY * bool(indent) + name for name in names.split()}
    return found


def test_everything_in_the_tree_exists() -> None:
    """A name ends in / where it is a folder's."""
    assert [name for name in shown() if not (ROOT / name).exists()] == []
    assert [name for name in shown() if (ROOT / name).is_dir() != name.endswith("/")] == []


def test_everything_at_the_root_is_in_the_tree() -> None:
    tops = {re.sub("/.*", "/", name) for name in TRACKED if not name.startswith(".")}
    named = {name.split("/")[0] + "/" * ("/" in name) for name in shown()}
    assert tops - OUTSIDE_THE_TREE == named


def test_every_file_and_package_of_the_library_is_in_the_tree() -> None:
    inside = [name for name in TRACKED if name.startswith(LIBRARY) and name.endswith(".py")]
    packages = {name.rpartition("/")[0] + "/" for name in inside}
    files = {name for name in inside if name.rpartition("/")[0] + "/" == LIBRARY} - {f"{LIBRARY}__init__.py"}
    assert packages | files <= shown() | {LIBRARY}
