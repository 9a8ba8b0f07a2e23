"""The base of every stage's configuration: frozen, unknown keys refused, read from YAML."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from personsearch.errors import UserError


class Config(BaseModel):
    """Frozen settings of one stage, declared in the file that uses them; a docstring under each field explains it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

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
        return self._validated(self.model_dump() | given, "option")

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
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
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
                raise yaml.composer.ComposerError(None, None, f"key {key.value!r} stands twice", key.start_mark)
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


def nearest(name: str, known: Iterable[str]) -> str:
    """Advice for an unknown name: the known one that it resembles, else all of them."""
    known = list(known)
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def describe_validation_error(error: ValidationError, kind: Any) -> str:
    """One line that names each wrong key of a `kind`, what it held and what was expected; of an unknown key, the
    nearest known one.
    """
    return "; ".join(
        _describe_unknown_key(problem["loc"], kind)
        if problem["type"] == "extra_forbidden"
        else f"{_dotted(problem['loc']) or 'value'}={problem['input']!r}: {problem['msg']}"
        for problem in error.errors()
    )


def _describe_unknown_key(path: tuple[int | str, ...], kind: Any) -> str:
    known = _fields_at(path[:-1], kind)
    return f"{_dotted(path)}: unknown; {nearest(str(path[-1]), known)}"


def _fields_at(path: tuple[int | str, ...], kind: Any) -> list[str]:
    """Names of the fields at a place inside a `kind`: a model, a container of models or a union of them."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not path:
            return list(kind.model_fields)
        field = kind.model_fields.get(str(path[0]))
        return _fields_at(path[1:], field.annotation) if field else []
    parts, inner = get_args(kind), path[1:]
    if get_origin(kind) in (Union, UnionType):
        inner = path
    elif get_origin(kind) is Annotated:  # a union that one of its fields decides, whose value begins the path
        union, decided_by = parts
        parts = tuple(
            part
            for part in get_args(union)
            if path[0] == get_args(part.model_fields[decided_by.discriminator].annotation)[0]
        )
    return [name for part in parts for name in _fields_at(inner, part)]


def _dotted(path: tuple[int | str, ...]) -> str:
    return ".".join(map(str, path))
