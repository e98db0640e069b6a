"""Every panel asks Prometheus something that it understands and that the operator exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.chart.prometheus import exported, named, promtool

if TYPE_CHECKING:
    from tests.chart.conftest import Helm

FOLDER = Path(__file__).parents[2] / "charts" / "pointsman" / "dashboards"
DASHBOARDS: dict[str, dict[str, Any]] = {file.stem: json.loads(file.read_text()) for file in FOLDER.glob("*.json")}
FILLED_IN = {"$__rate_interval": "2m", "$namespace": ".*", "$name": ".*"}  # by Grafana
QUERIES = [
    (name, panel["title"], target["expr"])
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
    for target in panel["targets"]
]


@pytest.mark.parametrize(("name", "title", "query"), QUERIES)
def test_a_panel_asks_for_what_the_operator_exports(name: str, title: str, query: str) -> None:
    assert named(query), f"{name}: {title}"
    assert named(query) <= exported()


def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    """As rules, which promtool parses; one that is no PromQL is named by it."""
    rules = []
    for number, (_, _, query) in enumerate(QUERIES):
        expr = query
        for variable, value in FILLED_IN.items():
            expr = expr.replace(variable, value)
        assert "$" not in expr
        rules.append({"record": f"panel:{number}", "expr": expr})
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool("check", "rules", "--lint=none", file)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
def test_panels_lie_beside_each_other_and_ask_the_chosen_prometheus(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_they_are_config_maps_that_grafanas_sidecar_finds(helm: Helm) -> None:
    assert not maps(helm.render())
    made = maps(helm.render("dashboards.enabled=true", "dashboards.annotations.grafana_folder=ML"))
    assert {obj["metadata"]["name"] for obj in made} == {f"pointsman-{name}" for name in DASHBOARDS}
    for obj in made:
        assert obj["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert obj["metadata"]["annotations"] == {"grafana_folder": "ML"}
        ((file, text),) = obj["data"].items()
        assert json.loads(text) == DASHBOARDS[file.removeprefix("pointsman-").removesuffix(".json")]


def maps(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [obj for obj in objects if obj["kind"] == "ConfigMap"]
