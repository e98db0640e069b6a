"""The resource customizations for Argo CD in the form that works before Argo CD ships them: entries of its ConfigMap argocd-cm.

`python -m hack.gitops.configmap` writes the file; with `--check` it only says whether it is as it should be.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parents[2] / "gitops" / "argocd"
CUSTOMIZATIONS: Final = FOLDER / "resource_customizations"
WRITTEN: Final = FOLDER / "argocd-cm.yaml"
_HEADER: Final = "# Generated from resource_customizations by `python -m hack.gitops.configmap`; do not edit.\n"


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as it is."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def entries(root: Path = CUSTOMIZATIONS) -> dict[str, str]:
    """The ConfigMap's data: health and, where there are some, actions of every kind."""
    found: dict[str, str] = {}
    for health in sorted(root.glob("*/*/health.lua")):
        kind = health.parent
        name = f"{kind.parent.name}_{kind.name}"
        found[f"resource.customizations.health.{name}"] = health.read_text(encoding="utf-8")
        if (kind / "actions").is_dir():
            found[f"resource.customizations.actions.{name}"] = _yaml(_actions(kind / "actions"))
    return found


def _actions(folder: Path) -> dict[str, Any]:
    return {
        "discovery.lua": (folder / "discovery.lua").read_text(encoding="utf-8"),
        "definitions": [
            {"name": script.parent.name, "action.lua": script.read_text(encoding="utf-8")}
            for script in sorted(folder.glob("*/action.lua"))
        ],
    }


def configmap() -> str:
    """The file: to be merged into the ConfigMap that is there."""
    return _HEADER + _yaml(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "argocd-cm", "labels": {"app.kubernetes.io/part-of": "argocd"}},
            "data": entries(),
        }
    )


def _yaml(value: dict[str, Any]) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000)


def main() -> None:
    """Write the file, or compare it."""
    if "--check" not in sys.argv:
        WRITTEN.write_text(configmap(), encoding="utf-8")
    elif WRITTEN.read_text(encoding="utf-8") != configmap():
        sys.exit(f"{WRITTEN.relative_to(FOLDER.parents[1])} is not what its scripts make: run `make generate`")


if __name__ == "__main__":
    main()
