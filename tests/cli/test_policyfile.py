"""A policy in a file: what is found in it, and the sentence for what is wrong with it."""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.api.gates import SERVING_SIGNALS
from pointsman.cli import policyfile
from pointsman.cli.faults import InputError
from tests.conftest import CRDS

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "apiVersion: pointsman.dev/v1alpha1\nkind: RolloutPolicy\nmetadata: {name: careful}\n"
DEPLOYMENT = "apiVersion: pointsman.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: churn}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def complaint(file: Path, text: str) -> str:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        policyfile.load(str(file)).policy(None, replicas=4)
    return str(caught.value).replace(f"{file}", "policy.yaml")


def test_a_policy_of_defaults(file: Path) -> None:
    file.write_text(HEAD + "spec: {}\n", encoding="utf-8")
    policy = policyfile.load(str(file)).policy(None, replicas=4)
    assert [stage.share for stage in policy.stages] == [500, 2500, 5000]
    assert [gate.name for gate in policy.gates] == ["errors"]


def test_fields_of_a_deployment_win_over_the_policy_that_it_names(file: Path) -> None:
    file.write_text(
        f"{HEAD}spec: {{interval: 30s, deadline: 1h}}\n---\n{DEPLOYMENT}"
        "spec: {replicas: 7, rollout: {policy: careful, deadline: 3h}}\n",
        encoding="utf-8",
    )
    loaded = policyfile.load(str(file))
    policy = loaded.policy(None, replicas=4)
    assert (policy.interval.total_seconds(), policy.deadline.total_seconds()) == (30, 3 * 3600)
    assert loaded.replicas == 7


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{}", None),
        ("{gates: [{name: e, signal: Errors}, {name: l, signal: Latency}]}", None),
        (
            "{steps: [{canary: {percent: 5}}], gates: [{name: memory, signal: Threshold, threshold: {query: up, min: '1'}}]}",
            "policy.yaml: gate 'memory': the signal Threshold is not recorded: leave the gate out",
        ),
        (
            "{steps: [{approval: {}}, {shadow: {percent: 20}}, {canary: {percent: 5}}]}",
            "policy.yaml: steps[1].shadow: mirrored requests are not recorded: leave the step out",
        ),
    ],
)
def test_what_cannot_be_judged_without_a_cluster(file: Path, spec: str, said: str | None) -> None:
    file.write_text(f"{HEAD}spec: {spec}\n", encoding="utf-8")
    loaded = policyfile.load(str(file))
    policy = loaded.policy(None, replicas=4)
    with nullcontext() if said is None else pytest.raises(InputError) as caught:
        assert loaded.offline(policy, signals=SERVING_SIGNALS, done="recorded") == policy
    assert said is None or str(caught.value).replace(f"{file}", "policy.yaml") == said  # type: ignore[union-attr]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((HEAD + "spec: {interval: 7s}").encode())))
    assert policyfile.load("-").policy(None, replicas=1).interval.total_seconds() == 7


def test_the_shipped_example_is_a_policy() -> None:
    loaded = policyfile.load(str(CRDS.parent / "examples" / "sklearn-canary.yaml"))
    assert loaded.replicas == 4
    assert [gate.name for gate in loaded.policy(None, replicas=4).gates] == ["errors", "latency"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            "{gates: [{name: a, signal: Errors}, {name: b, signal: Errors, quantiles: ['0.5']}]}",
            (
                "policy.yaml: spec.gates[1]: remove `quantiles`: only the signals Latency, TimeToFirstToken and"
                " TimePerOutputToken have them"
            ),
        ),
        (
            "{gates: [{name: a, signal: Latency, quantiles: ['99']}]}",
            'policy.yaml: spec.gates[0].quantiles[0]: write a quantile between 0 and 1 in quotes, such as "0.99"',
        ),
        (
            "{gates: [{name: a, signal: Latency, quantiles: 0.99}]}",
            "policy.yaml: spec.gates[0].quantiles: write a list, not 0.99",
        ),
        (
            "{gates: [{name: a, signal: Errors, tolerance: {ratio: 1.5}}]}",
            (
                'policy.yaml: spec.gates[0].tolerance.ratio: write a ratio of at least "1" in quotes: that many times as bad'
                " as stable is allowed (it is 1.5, not a string)"
            ),
        ),
        (
            "{gates: [{name: a, signal: Errors, tolerence: {ratio: '1.5'}}]}",
            "policy.yaml: spec.gates[0].tolerence: there is no such field; did you mean `tolerance`?",
        ),
        ("{gates: [{signal: Errors}]}", "policy.yaml: spec.gates[0].name: it is missing, and it has to be given"),
        (
            "{gates: [{name: a, signal: Errors}, {name: a, signal: Errors}]}",
            "policy.yaml: spec.gates[1]: name 'a' is there twice: write each once",
        ),
        ("{whenUndecided: hold}", "policy.yaml: spec.whenUndecided: write Hold, Rollback or Promote, not 'hold'"),
        ("{steps: []}", "policy.yaml: spec.steps: write at least 1 entry"),
        (
            "{steps: [{canary: {percent: 0.5}}]}",
            (
                "policy.yaml: spec.steps[0].canary.percent: write more than 0 and less than 100 percent, such as 5 or"
                ' "0.5"; promotion follows the last step (it is 0.5)'
            ),
        ),
        (
            "{steps: [{canary: {percent: 50}}, {canary: {percent: 5}}]}",
            "policy.yaml: spec: write the canary percentages in rising order: the share only grows from step to step",
        ),
        ("{warmup: {requests: -1}}", "policy.yaml: spec.warmup.requests: write at least 0, not -1"),
        ("{warmup: {requests: many}}", "policy.yaml: spec.warmup.requests: write a whole number, not 'many'"),
        ("[]", "policy.yaml: spec: write the fields of the object here, not []"),
        (
            "{capacity: {maxSurge: '10%', maxUnavailable: '10%'}, steps: [{approval: {}}]}",
            'policy.yaml: spec: write maxSurge: "100%", or add a canary step: with approvals only everything moves at once',
        ),
    ],
)
def test_what_is_wrong_where_and_what_to_write(file: Path, spec: str, said: str) -> None:
    assert complaint(file, f"{HEAD}spec: {spec}\n") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "policy.yaml: there is no RolloutPolicy and no ModelDeployment in it"),
        ("kind: Deployment", "policy.yaml: there is no RolloutPolicy and no ModelDeployment in it"),
        ("kind: RolloutPolicy", "policy.yaml: apiVersion: write pointsman.dev/v1alpha1, not None"),
        ("a: [1, 2", "policy.yaml:1: column 9: this is no YAML"),
        ("\x00", "policy.yaml: this is no YAML"),
        (f"{HEAD}---\n{HEAD}", "policy.yaml: there are 2 objects of kind RolloutPolicy (`careful`, `careful`)"),
        (
            f"{DEPLOYMENT}spec: {{rollout: {{policy: bold}}}}",
            "policy.yaml: spec.rollout.policy: the RolloutPolicy `bold` is not in this file",
        ),
        (
            f"{DEPLOYMENT}spec: {{rollout: {{deadline: 0s}}}}",
            "policy.yaml: spec.rollout.deadline: write a duration above zero",
        ),
        (f"{DEPLOYMENT}spec: 7", "policy.yaml: spec: write the fields of the object here, not 7"),
    ],
)
def test_files_that_hold_no_policy(file: Path, text: str, said: str) -> None:
    assert complaint(file, text).startswith(said)


def test_a_file_that_is_not_there_and_one_that_is_no_text(file: Path) -> None:
    with pytest.raises(InputError, match=r"policy\.yaml: cannot be read: No such file or directory"):
        policyfile.load(str(file))
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="byte 1 is not UTF-8"):
        policyfile.load(str(file))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
FIELDS = st.sampled_from(
    [
        "steps",
        "gates",
        "interval",
        "confidence",
        "deadline",
        "capacity",
        "warmup",
        "name",
        "signal",
        "tolerance",
        "harm",
        "quantiles",
        "canary",
        "percent",
        "ratio",
        "hold",
    ]
)
NESTED = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4))


@given(spec=VALUES | NESTED)
def test_whatever_is_written_is_a_policy_or_a_complaint(spec: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    import yaml  # noqa: PLC0415

    file = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    document = {"apiVersion": "pointsman.dev/v1alpha1", "kind": "RolloutPolicy", "spec": spec}
    file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8", errors="replace")
    complaint = str(file)
    try:
        policyfile.load(str(file)).policy(None, replicas=3)
    except InputError as error:
        complaint = str(error)
    assert complaint.startswith(str(file))
