"""The base of every stage's configuration: frozen, unknown keys refused, read from YAML."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from personsearch.errors import UserError, explain, shortened

# What was expected instead of the value, by the type of pydantic's error.
EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type"), "a mapping"),
    "finite_number": "a finite number",
    "string_type": "text",
    "path_type": "a path",
    "literal_error": "{expected}",
    "union_tag_invalid": "one of {expected_tags}",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
}
MOST_PROBLEMS = 10
# PyYAML raises these for a value that is not of its tag, such as the date 2026-99-99 or `!!bool maybe`.
UNREADABLE = (ValueError, LookupError, AttributeError, TypeError, OverflowError)


class Config(BaseModel):
    """Frozen settings of one stage, declared in the file that uses them; a docstring under each field explains it.

    Only the reference reads these docstrings (infra/write_reference.py): pydantic would parse every source at import.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def from_yaml(cls, path: Path, section: str | None = None, *, optional: bool = False) -> Self:
        """Read a whole YAML file, or one top-level section of it. Without an `optional` section: the defaults.

        Raises:
            UserError: the file is missing, is not YAML, lacks the section or fails validation.
        """
        values = read_yaml(path)
        if section is not None:
            values = {} if values is None else values
            if not isinstance(values, dict) or (section not in values and not optional):
                raise UserError(f"{path}: section {section!r} is missing")
            values = values.get(section)
        source = str(path) if section is None else f"{path}: section {section!r}"
        return cls._validated(values if values is not None else {}, source)

    def overridden(self, options: Mapping[str, object]) -> Self:
        """A copy with every option that is not None put in (command-line options by field name).

        Raises:
            UserError: one of them fails validation.
        """
        given = {name: value for name, value in options.items() if value is not None}
        try:
            return self.model_validate(self.model_dump() | given)
        except ValidationError as error:
            raise UserError(
                "; ".join(f"--{key.replace('_', '-')}{text}" for key, text in problems(error, type(self)))
            ) from error

    @classmethod
    def _validated(cls, values: Any, source: str) -> Self:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(f"{source}: {describe_validation_error(error, cls)}") from error


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        UserError: it cannot be read, is not UTF-8 or is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {explain(error)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not text in UTF-8") from error
    return parse_yaml(text, str(path))


class _Loader(yaml.SafeLoader):
    """Refuses a key that a mapping holds twice. PyYAML keeps the last one, so a setting would be lost silently."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Here and not where mappings are constructed: `<<` has not yet added keys that may be overridden.
        mapping = super().compose_mapping_node(anchor)
        keys = [key for key, _ in mapping.value if isinstance(key, yaml.ScalarNode)]
        seen = set()
        for key in keys:
            if key.value in seen:
                raise yaml.composer.ComposerError(None, None, f"key {key.value!r} appears twice", key.start_mark)
            seen.add(key.value)
        return mapping


def parse_yaml(text: str, origin: str) -> Any:
    """YAML text as a value.

    Raises:
        UserError: it is not YAML or holds a key twice; the message begins with `origin`.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise UserError(f"{origin}: not valid YAML: {getattr(error, 'problem', None) or error}{place}") from error
    except RecursionError as error:
        raise UserError(f"{origin}: not valid YAML: lists or mappings nested too deeply") from error
    except UNREADABLE as error:
        raise UserError(f"{origin}: not valid YAML: a value cannot be read: {shortened(str(error))}") from error


def nearest(name: str, known: Iterable[str]) -> str:
    """Advice for an unknown name: the known one that it resembles, else all of them."""
    known = list(known)
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def describe_validation_error(error: ValidationError, kind: Any) -> str:
    """One line that names each wrong key of a `kind`, what it held and what was expected."""
    found = [f"{key or 'value'}{text}" for key, text in problems(error, kind)]
    more = [f"and {len(found) - MOST_PROBLEMS} more"] if len(found) > MOST_PROBLEMS else []
    return "; ".join(found[:MOST_PROBLEMS] + more)


def problems(error: ValidationError, kind: Any) -> list[tuple[str, str]]:
    """Each wrong key of a `kind`, dotted, and what follows it in a message: its value and what was expected, or what
    is wrong with it; of an unknown key, the nearest known one.
    """
    found: dict[str, list[tuple[bool, str]]] = {}
    values: dict[str, str] = {}
    for problem in error.errors():
        keys, siblings = _locate(problem["loc"], kind)
        context = problem.get("ctx", {})
        if "discriminator" in context:  # the field that decides between the models of a union
            keys = [*keys, context["discriminator"].strip("'")]
        key = ".".join(keys)
        values[key] = f"={shortened(repr(context.get('tag', problem['input'])))}"
        found.setdefault(key, []).append(_wrong(problem, siblings))
    return [(key, _joined(values[key], wrong)) for key, wrong in found.items()]


def _joined(value: str, wrong: list[tuple[bool, str]]) -> str:
    """What is wrong with one key; each member of a union expects something else of its value."""
    expected = [text for is_expected, text in wrong if is_expected]
    return f"{value}: {' or '.join(expected)} expected" if expected else f": {'; '.join(text for _, text in wrong)}"


def _wrong(problem: Any, siblings: list[str]) -> tuple[bool, str]:
    """What was expected instead of the value (true), or what is wrong (false)."""
    name, context = problem["type"], problem.get("ctx", {})
    if name in EXPECTED:
        return True, EXPECTED[name].format(**context)
    if name == "extra_forbidden":
        return False, f"unknown; {nearest(str(problem['loc'][-1]), siblings)}"
    if name == "value_error":
        return False, str(context["error"])
    return False, "missing" if name in ("missing", "union_tag_not_found") else str(problem["msg"])


def _locate(location: tuple[int | str, ...], kind: Any) -> tuple[list[str], list[str]]:
    """The keys of a place inside a `kind`, and the fields that are known beside the last of them.

    Pydantic's locations also hold a label for each union passed on the way, which is no key.
    """
    keys: list[str] = []
    siblings: list[str] = []
    kinds = [kind]
    for part in location:
        members = [member for one in kinds for member in _members(one)]
        if len(members) > len(kinds):
            kinds = [member for member in members if _tag(member) in (part, None)]
            continue
        keys.append(str(part))
        models = [member for member in members if isinstance(member, type) and issubclass(member, BaseModel)]
        siblings = [name for model in models for name in model.model_fields]
        kinds = [inner for member in members for inner in _inside(member, part)]
    return keys, siblings


def _members(kind: Any) -> list[Any]:
    """The kinds that a value may have: those of a union, without None."""
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [member for part in get_args(kind) if part is not NoneType for member in _members(part)]
    return [kind]


def _tag(kind: Any) -> str | None:
    """The value of `kind` that tells a model from the others of its union."""
    field = getattr(kind, "model_fields", {}).get("kind")
    return get_args(field.annotation)[0] if field and get_origin(field.annotation) is Literal else None


def _inside(kind: Any, key: int | str) -> list[Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(key))
        return [field.annotation] if field else []
    parts = get_args(kind)
    return [parts[-1]] if get_origin(kind) is dict else [part for part in parts if part is not Ellipsis]
