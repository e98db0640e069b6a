"""Each alert fires when it should, by Prometheus' own engine, and is explained to whom it wakes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.prometheus import exported, named, promtool

ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts" / "pointsman" / "alerts.yaml"
OPERATING = ROOT / "docs" / "operating.md"
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}

CHURN = 'namespace="ml", name="churn"'


def condition(type_: str, reason: str) -> str:
    return f'pointsman_condition{{{CHURN}, type="{type_}", reason="{reason}"}}'


DEADLINE = f"pointsman_rollout_deadline_timestamp_seconds{{{CHURN}}}"
UNDECIDED = f'pointsman_gate_verdict{{{CHURN}, gate="errors", verdict="Undecided"}}'
LEADING = "pointsman_leading{pod='a'}"
CRASHES = 'pointsman_reconciles_total{result="crash"}'

# Alert, series by minute (from 0), and whether it fires at which minute.
CASES: list[tuple[str, dict[str, str], dict[str, bool]]] = [
    ("PointsmanRolledBack", {condition("UpToDate", "RolledBack"): "1x5 _x5"}, {"1m": True, "15m": False}),
    ("PointsmanRolledBack", {condition("UpToDate", "Aborted"): "1x5"}, {"3m": False}),
    ("PointsmanRolloutStuck", {condition("UpToDate", "InProgress"): "1x400"}, {"5h": False, "6h10m": True}),
    ("PointsmanRolloutStuck", {condition("UpToDate", "AwaitingApproval"): "1x400"}, {"6h10m": True}),
    # The deadline (in nine hours, then gone) runs: it measures.
    ("PointsmanRolloutStuck", {condition("UpToDate", "InProgress"): "1x400", DEADLINE: "32400x400"}, {"6h10m": False}),
    ("PointsmanRolloutStuck", {condition("UpToDate", "RolledBack"): "1x400"}, {"6h10m": False}),
    ("PointsmanUndecidedSoon", {DEADLINE: "3600x90", UNDECIDED: "1x90"}, {"30m": False, "50m": True, "65m": False}),
    ("PointsmanUndecidedSoon", {DEADLINE: "3600x90"}, {"50m": False}),
    ("PointsmanUndecided", {condition("UpToDate", "Undecided"): "1x5"}, {"2m": True}),
    ("PointsmanNoData", {condition("Observed", "NoData"): "1x20"}, {"4m": False, "6m": True}),
    ("PointsmanNotAccepted", {condition("Accepted", "PolicyNotFound"): "1x20"}, {"10m": False, "16m": True}),
    ("PointsmanModelNotReady", {condition("Ready", "NoReadyPod"): "1x20"}, {"4m": False, "6m": True}),
    ("PointsmanDrifted", {condition("Drifted", "Inputs"): "1x5"}, {"1m": True}),
    ("PointsmanNotNotified", {condition("Notified", "NoToken"): "1x20"}, {"14m": False, "16m": True}),
    ("PointsmanNobodyLeads", {LEADING: "1x10 0x10"}, {"5m": False, "17m": True}),
    ("PointsmanNobodyLeads", {LEADING: "0x20", "pointsman_leading{pod='b'}": "1x20"}, {"15m": False}),
    ("PointsmanNobodyLeads", {}, {"6m": True}),
    ("PointsmanCrashes", {CRASHES: "0x5 1x20"}, {"4m": False, "8m": True}),
    ("PointsmanSlow", {"pointsman_queue_oldest_seconds": "90x20"}, {"4m": False, "6m": True}),
    ("PointsmanPrometheusFails", {"pointsman_prometheus_failures_total": "0+1x30"}, {"9m": False, "14m": True}),
    ("PointsmanPrometheusFails", {"pointsman_prometheus_failures_total": "0x3 5x30"}, {"14m": False}),
    ("PointsmanEventsDropped", {"pointsman_dropped_events_total": "0x2 3x20"}, {"5m": True}),
]


def test_prometheus_takes_the_rules() -> None:
    done = promtool("check", "rules", "--lint-fatal", RULES)
    assert not done.returncode, done.stderr


def test_every_alert_has_an_example_in_which_it_fires() -> None:
    assert {alert for alert, _, fires in CASES if any(fires.values())} == set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_asks_for_what_the_operator_exports_and_says_whom_it_is_about(alert: str) -> None:
    rule = ALERTS[alert]
    assert named(rule["expr"])
    assert named(rule["expr"]) <= exported()
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    about_a_model = "pointsman_condition" in rule["expr"] or "deadline" in rule["expr"]
    assert ("{{ $labels.namespace }}/{{ $labels.name }}" in rule["annotations"]["summary"]) is about_a_model


def test_every_alert_is_explained_with_what_to_do_and_no_other_is() -> None:
    text = OPERATING.read_text(encoding="utf-8")
    explained = re.findall(r"^\| `(Pointsman\w+)` \| (.{20,}?) \| (.{20,}?) \|$", text, re.MULTILINE)
    assert {alert for alert, _, _ in explained} == set(ALERTS)


def test_they_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    tests: list[dict[str, Any]] = [
        {
            "name": f"{alert} with {series}",
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)',
                    "eval_time": at,
                    "exp_samples": [{"labels": "{}", "value": int(fires)}],
                }
                for at, fires in moments.items()
            ],
        }
        for alert, series, moments in CASES
    ]
    file = tmp_path / "alerts_test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", file)
    assert not done.returncode, done.stdout + done.stderr
