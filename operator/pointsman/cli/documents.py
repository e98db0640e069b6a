"""What a command found, as JSON or YAML: the same keys in the same order, whatever the terminal."""

from __future__ import annotations

import json
from typing import Any

import yaml

from pointsman.cli.outputs import Shown


def as_json(found: Any) -> str:
    """Indented JSON."""
    return json.dumps(found, indent=2, ensure_ascii=False)


def as_line(found: Any) -> str:
    """JSON on one line, where several follow one another."""
    return json.dumps(found, ensure_ascii=False)


def written(found: Any, shown: Shown) -> str:
    """As it was asked for."""
    return as_json(found) if shown is Shown.JSON else as_yaml(found)


def as_yaml(found: Any) -> str:
    """YAML, without the newline at its end."""
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120).rstrip("\n")
