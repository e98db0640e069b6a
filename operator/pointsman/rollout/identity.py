"""The identity of a revision: a name made from what the user wrote, never from what is rendered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_IDENTITY = ("model", "runtime", "template", "port")


def revision_name(deployment: str, written: Mapping[str, Any]) -> str:
    """`<deployment>-<8 hex>`: SHA-256 over the identity fields of the spec as written, in canonical JSON.

    Fields that are absent and fields that are null are the same; nothing that the operator or a schema adds is in it,
    so an upgrade of either changes no revision.
    """
    identity = {field: written[field] for field in _IDENTITY if written.get(field) is not None}
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{deployment}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"
