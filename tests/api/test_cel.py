"""Every CEL rule of the CRDs: what trips it, what does not, and the sentence that the user reads."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from tests.api.cel_examples import EXAMPLES, IMMUTABLE, SPECS, TEMPLATE
from tests.conftest import CRDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Admission, Complaint

Object = dict[str, Any]


class Rule(NamedTuple):
    """One rule at one place of one kind."""

    kind: str
    path: str  # in the schema: spec.steps[].hold
    message: str
    transition: bool  # compares with the object before


def rules() -> list[Rule]:
    """All rules in crds/."""
    found = []
    for file in sorted(CRDS.glob("*.yaml")):
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))
        kind = definition["spec"]["names"]["kind"]
        (version,) = definition["spec"]["versions"]
        found += list(_walk(version["schema"]["openAPIV3Schema"], kind=kind, path=""))
    return found


def _walk(node: Object, *, kind: str, path: str) -> Iterator[Rule]:
    for rule in node.get("x-kubernetes-validations", ()):
        yield Rule(kind, path, rule["message"], transition="oldSelf" in rule["rule"])
    for name, field in node.get("properties", {}).items():
        yield from _walk(field, kind=kind, path=f"{path}.{name}".lstrip("."))
    if "items" in node:
        yield from _walk(node["items"], kind=kind, path=f"{path}[]")
    if "additionalProperties" in node:
        yield from _walk(node["additionalProperties"], kind=kind, path=f"{path}[*]")


def whole(kind: str) -> Object:
    """A good object of the kind with every part that a rule can stand in."""
    return {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "churn"},
        "spec": copy.deepcopy(SPECS[kind]),
    }


def put(obj: Object, path: str, value: object) -> str:
    """Set what `path` of the schema names, in the first entry of each list that has it; the path as the server writes it."""
    if path == "":
        obj |= value  # type: ignore[operator]
        return "metadata.name"  # all that a rule at the root can judge
    steps = path.replace("[]", ".[]").split(".")
    last = steps[-1]
    here: Any = obj
    for parent, following in pairwise(steps):
        if parent == "[]":
            number = next((number for number, entry in enumerate(here) if following in entry), 0)
            here, path = here[number], path.replace("[]", f"[{number}]", 1)
        else:
            here = here.setdefault(parent, [] if last == "[]" else {})
    if last != "[]":
        here[last] = value
    elif here:
        here[0] = value
    else:
        here.append(value)
    return path.replace("[]", "[0]")


def heard(complaints: list[Complaint], *, field: str, message: str) -> bool:
    """Whether the server said this sentence, as an answer and not as an error of evaluating the rule."""
    return any(
        c.field == field and c.message.endswith(f": {message}") and "evaluating rule" not in c.message
        for c in complaints
    )


RULES = rules()
BAD = [(rule, value) for rule in RULES if not rule.transition for value in EXAMPLES[rule.message].bad]
GOOD = [(rule, value) for rule in RULES if not rule.transition for value in EXAMPLES[rule.message].good]


def ids(cases: list[tuple[Rule, object]]) -> list[str]:
    return [f"{rule.kind}.{rule.path}-{str(value)[:40]}" for rule, value in cases]


def test_every_rule_has_an_example_and_every_example_a_rule() -> None:
    assert {rule.message for rule in RULES if not rule.transition} == set(EXAMPLES)
    assert {rule.message for rule in RULES if rule.transition} == {IMMUTABLE}
    assert len({(r.kind, r.path, r.message) for r in RULES}) == len(RULES)


@pytest.mark.bare
@pytest.mark.parametrize("kind", sorted(SPECS))
def test_the_good_object_that_the_others_are_made_from(admission: Admission, kind: str) -> None:
    assert admission.complaints(whole(kind)) == []


@pytest.mark.bare
@pytest.mark.parametrize(("rule", "value"), BAD, ids=ids(BAD))
def test_a_bad_value_is_answered_with_the_sentence(admission: Admission, rule: Rule, value: object) -> None:
    obj = whole(rule.kind)
    field = put(obj, rule.path, value)
    complaints = admission.complaints(obj)
    assert heard(complaints, field=field, message=rule.message), complaints


@pytest.mark.bare
@pytest.mark.parametrize(("rule", "value"), GOOD, ids=ids(GOOD))
def test_a_good_value_is_not(admission: Admission, rule: Rule, value: object) -> None:
    obj = whole(rule.kind)
    put(obj, rule.path, value)
    assert not any(rule.message in complaint.message for complaint in admission.complaints(obj))


CHANGES = [
    ("spec", "deployment", "other"),
    ("spec", "port", 8080),
    ("spec", "runtime", None),
    ("spec.model", "model", {"version": "8"}),
    ("spec.runtime", "runtime", {"name": "mlserver", "generation": 4}),
    ("spec.template", "template", {"spec": {"containers": [{"name": "model", "image": "other"}]}}),
    ("spec.template", "template", {**TEMPLATE, "metadata": {"labels": {"new": "label"}}}),
]


@pytest.fixture(scope="module")
def revision(admission: Admission) -> Object:
    return admission.create(whole("ModelRevision"))


def changed(revision: Object, field: str, value: object) -> Object:
    spec = {**revision["spec"], field: value}
    return {**revision, "spec": {name: given for name, given in spec.items() if given is not None}}


def test_every_transition_rule_has_a_change() -> None:
    assert {rule.path for rule in RULES if rule.transition} == {path for path, _, _ in CHANGES}


@pytest.mark.bare
@pytest.mark.parametrize(("path", "field", "value"), CHANGES)
def test_a_revision_does_not_change(
    admission: Admission, revision: Object, path: str, field: str, value: object
) -> None:
    complaints = admission.complaints_about_change(changed(revision, field, value))
    assert heard(complaints, field=path, message=IMMUTABLE), complaints


@pytest.mark.bare
@pytest.mark.parametrize("metrics", [None, {"port": 9090, "path": "/", "latency": {"histogram": "h", "unit": "ms"}}])
def test_but_its_metric_profile_does(admission: Admission, revision: Object, metrics: object) -> None:
    assert admission.complaints_about_change(changed(revision, "metrics", metrics)) == []
