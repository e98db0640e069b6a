"""What the API server would say of manifests: the schema of the CRDs with its rules, names, labels and annotations."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from pointsman.api import crd, names
from pointsman.api.modeldeployment import ModelDeploymentSpec
from pointsman.api.modelruntime import ModelRuntimeSpec
from pointsman.api.rolloutpolicy import RolloutPolicySpec
from pointsman.api.values import API_VERSION, GROUP
from pointsman.cli import expressions, manifest
from pointsman.cli.documentfile import Document
from pointsman.cli.mistakes import Mistake, mistake

_FIELDS: Final = ("apiVersion", "kind", "metadata", "spec", "status")
_ANNOTATIONS: Final = (names.ABORT, names.PROMOTE, names.RETRY, names.APPROVE, names.PAUSE)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME: Final = 253


def ours(document: Document) -> bool:
    """Whether it is one of our kinds, or was meant to be."""
    version, kind = document.api_version, document.kind
    if version.partition("/")[0] == GROUP or difflib.get_close_matches(version, [API_VERSION], cutoff=0.8):
        return True
    return not version and kind in _kinds()


def faults(document: Document) -> Iterator[Mistake]:
    """Everything that the schema and its rules have against it."""
    if not isinstance(document.value, dict):
        yield mistake(document, "write the fields of an object here")
        return
    kinds = _kinds()
    if document.kind not in kinds:
        close = difflib.get_close_matches(document.kind, kinds, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(kinds)}"
        yield mistake(document, f"there is no kind {document.kind!r} in {API_VERSION}; {hint}", path="kind")
        return
    if document.api_version != API_VERSION:
        yield mistake(document, f"write {API_VERSION}, not {document.api_version!r}", path="apiVersion")
        return
    yield from _top(document)
    spec = document.value.get("spec")
    if spec is None:
        yield mistake(document, "it is missing, and it has to be given", path="spec")
        return
    found = [fault.split(": ", 1) for fault in manifest.faults(spec, kinds[document.kind].spec, path="spec")]
    for path, said in found:
        yield mistake(document, said, path=path)
    if not found:
        yield from _parsed(document)


def _top(document: Document) -> Iterator[Mistake]:
    """What is around the spec: fields of the object itself, its name and its annotations."""
    for key in document.value:
        if key not in _FIELDS:
            close = difflib.get_close_matches(str(key), _FIELDS, n=1)
            hint = f"; did you mean `{close[0]}`?" if close else ": what you ask for belongs into `spec`"
            yield mistake(document, f"there is no such field{hint}", path=str(key))
    metadata = document.value.get("metadata")
    if not isinstance(metadata, dict) or not (metadata.get("name") or metadata.get("generateName")):
        yield mistake(document, "it is missing, and it has to be given", path="metadata.name")
        return
    yield from _named(document, metadata.get("name"))
    for key in ("labels", "annotations"):
        yield from _texts(document, key, metadata.get(key))


def _named(document: Document, name: Any) -> Iterator[Mistake]:
    if name is None:
        return
    if not isinstance(name, str):
        yield mistake(document, f"write a string, not {name!r}: put it in quotes", path="metadata.name")
        return
    said = [text for rule, text in _kinds()[document.kind].names if not expressions.holds(rule, document.value)]
    if not said and (not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME):
        said = ["write the name of a Kubernetes object: lower-case letters, digits, `-` and `.`"]
    for message in said:
        yield mistake(document, message, path="metadata.name")


def _texts(document: Document, key: str, given: Any) -> Iterator[Mistake]:
    """Labels and annotations are strings, and those of our own are known."""
    if given is None:
        return
    if not isinstance(given, dict):
        yield mistake(document, "write a mapping of strings", path=f"metadata.{key}")
        return
    for name, value in given.items():
        where = ("metadata", key, str(name))
        said = None
        if not isinstance(value, str):
            shown = str(value).lower() if isinstance(value, bool) else value
            said = f'write a string: "{shown}", in quotes'
        elif key == "annotations" and str(name).startswith(f"{GROUP}/") and name not in _ANNOTATIONS:
            close = difflib.get_close_matches(str(name), _ANNOTATIONS, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(_ANNOTATIONS)}"
            said = f"Pointsman knows no such annotation; {hint}"
        if said is not None:
            yield replace(mistake(document, said, path=".".join(where)), line=document.line(where))


def _parsed(document: Document) -> Iterator[Mistake]:
    """What the schema let through and the types do not: pydantic's own words."""
    types: dict[str, type[BaseModel]] = {
        "ModelDeployment": ModelDeploymentSpec,
        "ModelRuntime": ModelRuntimeSpec,
        "RolloutPolicy": RolloutPolicySpec,
    }
    if document.kind not in types:
        return
    try:
        types[document.kind].model_validate(document.value["spec"])
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in ("spec", *fault["loc"]))
            yield mistake(document, fault["msg"], path=path.removeprefix("."))


@cache
def _kinds() -> Mapping[str, crd.Kind]:
    return {kind.kind: kind for kind in crd.kinds()}
