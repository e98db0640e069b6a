"""The keys of the queue: objects that are reconciled, by kind and name."""

from __future__ import annotations

from typing import NamedTuple

from pointsman.cluster.cache import Name, name_of
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, Json, kind_of


class Key(NamedTuple):
    """An object that is reconciled on its own."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"

    @property
    def owner(self) -> Name:
        """Namespace and name."""
        return self.namespace, self.name


def deployment(name: Name) -> Key:
    """The key of a ModelDeployment."""
    return Key(MODEL_DEPLOYMENT.name, *name)


def key_of(obj: Json) -> Key:
    """The key of an object that is reconciled itself."""
    return Key(kind_of(obj).name, *name_of(obj))
