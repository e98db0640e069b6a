"""Objects for the tests of cluster/ and controller/, short enough to read in a table."""

from __future__ import annotations

from typing import Any

from pointsman.cluster.kinds import MODEL_DEPLOYMENT, MODEL_REVISION, Kind


def obj(kind: Kind, name: str, version: int = 1, *, namespace: str = "ml", **parts: Any) -> dict[str, Any]:
    meta = {
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    if kind.namespaced:
        meta["namespace"] = namespace
    meta |= parts.pop("metadata", {})
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, **parts}


def model(name: str, version: int = 1, *, since: int = 0, **spec: Any) -> dict[str, Any]:
    written = {"model": {"version": "1"}, "runtime": "mlserver", **spec}
    meta = {"generation": 1, "creationTimestamp": f"2026-01-01T00:00:{since:02}Z"}
    return obj(MODEL_DEPLOYMENT, name, version, metadata=meta, spec=written)


def revision(name: str, owner: str, version: int = 1) -> dict[str, Any]:
    spec = {"deployment": owner, "model": {"version": "1"}, "template": {}, "port": "http"}
    return obj(MODEL_REVISION, name, version, spec=spec)
