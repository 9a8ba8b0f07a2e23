"""The base of every stage's configuration: frozen, unknown keys refused, read from YAML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from personsearch.errors import UserError


class Config(BaseModel):
    """Frozen settings of one stage, declared in the file that uses them; a docstring under each field explains it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def from_yaml(cls, path: Path, section: str | None = None) -> Self:
        """Read a whole YAML file, or one top-level section of it.

        Raises:
            UserError: the file is missing, is not YAML, lacks the section or fails validation.
        """
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not valid YAML: {error}") from error
        if section is not None:
            if not isinstance(values, dict) or section not in values:
                raise UserError(f"{path}: section {section!r} is missing")
            values = values[section]
        return cls._validated(values if values is not None else {}, str(path))

    def overridden(self, options: Mapping[str, object]) -> Self:
        """The same settings but for those of `options`, a command line's by name, that are not None.

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
            raise UserError(f"{source}: {describe_validation_error(error)}") from error


def describe_validation_error(error: ValidationError) -> str:
    """One line that names each wrong key, what it held and what was wanted."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'value'}={problem['input']!r}: {problem['msg']}"
        for problem in error.errors()
    )
