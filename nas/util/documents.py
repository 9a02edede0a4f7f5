"""Reads JSON and YAML files of any origin: returns plain values or raises a UserError."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas.util.errors import UserError, setting

if TYPE_CHECKING:
    from pathlib import Path


def read_yaml(path: Path, field: str = "") -> Any:
    """Reads a YAML file (JSON is YAML) of plain values.

    References are refused, since a few lines of nested ones can exhaust any memory.

    Args:
        path: The file.
        field: The setting that named it, for errors.

    Raises:
        UserError: If it cannot be read.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("references (*name) are not allowed")
            return super().compose_node(parent, index)

    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        name = setting(field, path) if field else path
        raise UserError(f"{name}: cannot be read as YAML ({reason[:300]})") from None


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: If it cannot be read.
    """
    import orjson

    try:
        return orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from None
