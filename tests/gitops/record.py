"""Writes the test data of the resource customizations anew, from real rollouts: `python -m tests.gitops.record`, on the bare cluster.

What tells one run from another (uids, times, managed fields, names that no two tests share) is left out or called alike: the
files differ only where the operator says something else. The verdicts beside them are Argo CD's own engine's; that they are
right is what test_customizations says, which knows them by the files' names.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

from hack.cluster import layout, lifecycle
from hack.cluster.fixtures import Cluster
from hack.gitops import judges
from hack.gitops.configmap import CUSTOMIZATIONS
from tests.api.conftest import operating
from tests.api.operator_model import Model
from tests.api.operator_server import Object
from tests.conftest import CRDS, connected
from tests.gitops.stories import Moment, told

GROUP: Final = CUSTOMIZATIONS / "pointsman.dev"
ACTIONS: Final = GROUP / "ModelDeployment" / "actions"
ACTED: Final = (
    ("promote", "progressing_canary"),
    ("abort", "progressing_canary"),
    ("abort", "healthy_promoted"),
    ("approve", "suspended_awaitingApproval"),
    ("pause", "progressing_canary"),
    ("resume", "suspended_paused"),
    ("retry", "degraded_rolledBack"),
    ("retry", "degraded_aborted"),
)
"""An action, and the moment in which somebody takes it."""
_LEFT_OUT: Final = ("managedFields", "uid", "resourceVersion", "ownerReferences")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_NEW_YEAR: Final = "2026-01-01T12:00:00Z"
_STEM: Final = "recorded"


def data(kind: str) -> dict[str, Object]:
    """The moments kept of a kind, by name."""
    return {file.stem: read(file) for file in sorted((GROUP / kind / "testdata").glob("*.yaml"))}


def health_tests(kind: str) -> Object:
    """What upstream's test of the health script reads."""
    kept = data(kind)
    script = (GROUP / kind / "health.lua").read_text(encoding="utf-8")
    answers = judges.lua(script, list(kept.values()))
    return {
        "tests": [
            {"healthStatus": answer.result, "inputPath": f"testdata/{name}.yaml"}
            for name, answer in zip(kept, answers, strict=True)
        ]
    }


def action_tests() -> Object:
    """What upstream's test of the actions reads."""
    kept = data("ModelDeployment")
    found = judges.lua((ACTIONS / "discovery.lua").read_text(encoding="utf-8"), list(kept.values()))
    return {
        "discoveryTests": [
            {
                "inputPath": f"../testdata/{name}.yaml",
                "result": [{"name": action, **said} for action, said in sorted(answer.result.items())],
            }
            for name, answer in zip(kept, found, strict=True)
        ],
        "actionTests": [
            {
                "action": action,
                "inputPath": f"../testdata/{moment}.yaml",
                "expectedOutputPath": f"testdata/{action}_{moment}.yaml",
            }
            for action, moment in ACTED
        ],
    }


def acted(action: str, moment: str) -> judges.Answer:
    """What an action makes of a moment that is kept."""
    script = (ACTIONS / action / "action.lua").read_text(encoding="utf-8")
    before = data("ModelDeployment")[moment]
    answer = judges.lua(script, [before])[0]
    return judges.Answer(_with_maps(answer.result, before), answer.error)


def _with_maps(after: Any, before: Any) -> Any:
    """Lua knows no empty map from an empty list; what was a map is one, as Argo CD has it (cleanReturnedObj)."""
    if isinstance(after, dict) and isinstance(before, dict):
        return {key: _with_maps(value, before.get(key)) for key, value in after.items()}
    if isinstance(after, list) and isinstance(before, list):
        known = [*before, *[None] * (len(after) - len(before))]
        return [_with_maps(value, old) for value, old in zip(after, known, strict=False)]
    return {} if after == [] and before == {} else after


def _kept(moment: Moment, *, namespace: str) -> str:
    meta = {key: value for key, value in moment.object["metadata"].items() if key not in _LEFT_OUT}
    status = {key: value for key, value in moment.object.get("status", {}).items() if key != "evidence"}
    written = _written({**moment.object, "metadata": meta, **({"status": status} if status else {})})
    return _TIME.sub(_NEW_YEAR, re.sub(rf"{_STEM}-\d+", "churn", written).replace(namespace, "ml"))


def _written(obj: Any) -> str:
    text: str = yaml.safe_dump(obj, sort_keys=False, width=120, allow_unicode=True)
    return text


def read(file: Path) -> Object:
    """As JSON has it: times are text."""
    found: Object = yaml.load(file.read_text(encoding="utf-8"), Loader=_Json)  # noqa: S506  a SafeLoader
    return found


class _Json(yaml.SafeLoader):
    """Leaves times as they are written."""


_Json.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _moments() -> list[tuple[Moment, str]]:
    bare = Cluster(layout.bare())
    lifecycle.up(bare.layout)
    bare.kubectl("apply", "--server-side", "--force-conflicts", "-f", CRDS)
    bare.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", CRDS)
    with tempfile.TemporaryDirectory() as folder, connected(bare, Path(folder)) as http:
        numbers = itertools.count(1)
        with operating(bare, http, Path(folder) / "log") as site:
            seen = told(site, lambda **spec: Model(site.server, f"{_STEM}-{next(numbers)}", site.runtime, spec))
            return [(moment, site.server.namespace) for moment in seen]


def keep() -> None:
    """Tell the stories and keep what is seen."""
    for kind in ("ModelDeployment", "ModelRevision", "ModelRuntime", "RolloutPolicy"):
        for old in (GROUP / kind / "testdata").glob("*.yaml"):
            old.unlink()
    for moment, namespace in _moments():
        file = GROUP / moment.kind / "testdata" / f"{moment.name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(_kept(moment, namespace=namespace), encoding="utf-8")


def judge() -> None:
    """Write down what the scripts make of what is kept."""
    for kind in sorted(folder.name for folder in GROUP.iterdir()):
        (GROUP / kind / "health_test.yaml").write_text(_written(health_tests(kind)), encoding="utf-8")
    (ACTIONS / "action_test.yaml").write_text(_written(action_tests()), encoding="utf-8")
    (ACTIONS / "testdata").mkdir(exist_ok=True)
    for action, name in ACTED:
        output = ACTIONS / "testdata" / f"{action}_{name}.yaml"
        output.write_text(_written(acted(action, name).result), encoding="utf-8")


if __name__ == "__main__":
    keep()
    judge()
