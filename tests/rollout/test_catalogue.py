"""What is said of a ModelRuntime: templates are untrusted, the schema does not look into them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pointsman.api.modelruntime import ModelRuntimeSpec, ModelRuntimeStatus
from pointsman.rollout.catalogue import runtime_status
from pointsman.rollout.observed import Runtime

MODEL = {"name": "model", "ports": [{"name": "http", "containerPort": 8080}]}
TEMPLATES: dict[str, tuple[dict[str, Any], str]] = {
    "good": ({"spec": {"containers": [MODEL]}}, ""),
    "empty": ({}, "the serving container has to be named 'model'"),
    "no pod": ({"spec": 1.5}, "spec.template.spec is a number; write an object"),
    "no list": ({"spec": {"containers": {"model": MODEL}}}, "spec.template.spec.containers is an object; write a list"),
    "no container": ({"spec": {"containers": ["model"]}}, "containers[0] is a string; write an object"),
    "no name": ({"spec": {"containers": [{"image": "x"}]}}, "containers[0] has no `name`"),
    "ports of no kind": (
        {"spec": {"containers": [MODEL | {"ports": "http"}]}},
        "ports is a string; write a list of objects",
    ),
    "no such port": ({"spec": {"containers": [{"name": "model"}]}}, 'no container has a TCP port named "http"'),
}


@pytest.mark.parametrize(("template", "words"), TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_of_any_form_gets_a_sentence(template: dict[str, Any], words: str) -> None:
    spec = ModelRuntimeSpec.model_validate({"template": template, "port": "http"})
    runtime = Runtime(name="mlserver", generation=3, spec=spec)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    status = runtime_status(runtime, catalogue={}, before=ModelRuntimeStatus(), now=now)
    said, stalled = status.conditions
    assert (stalled.type, stalled.status, stalled.message) == ("Stalled", "True" if words else "False", said.message)
    assert (status.observed_generation, said.observed_generation, said.type) == (3, 3, "Accepted")
    assert (said.status, said.reason) == (("False", "InvalidTemplate") if words else ("True", "Accepted"))
    assert words in said.message
