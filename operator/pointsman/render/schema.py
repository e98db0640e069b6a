"""What of the API server's schema rendering needs: which fields are objects, maps, lists, and what keys a list's items."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Json = dict[str, Any]
"""A Kubernetes object, or a part of one, as plain JSON values."""


class Field(NamedTuple):
    """One field that is more than a plain value; plain values are not in the table.

    Attributes:
        shape: `quantity` is a resource quantity such as `500m`.
        of: The kind of the object or of the list's items, a key of `KINDS` where that kind has fields worth listing;
            `quantity` for maps of quantities; None where the values are plain.
        keys: What tells the items of a list apart; empty where a list is replaced whole.
        keep: How an item of the other side is kept: `given` takes over only the fields that the new item names
            (strategic merge's retainKeys: a volume has one source).
        atomic: A map that the server replaces whole on apply.
    """

    shape: Literal["object", "map", "list", "quantity"]
    of: str | None = None
    keys: tuple[str, ...] = ()
    keep: Literal["all", "given"] = "all"
    atomic: bool = False


KEY_DEFAULTS = {"protocol": "TCP"}
"""Keys of list items that may be left out, with what the server fills in (ports are told apart by number and protocol)."""


def item_key(item: Json, keys: tuple[str, ...]) -> tuple[Any, ...]:
    """What tells this item of a keyed list apart; None stands for a key that is not there."""
    return tuple(item.get(key, KEY_DEFAULTS.get(key)) for key in keys)


def item_path(where: str, keys: tuple[str, ...], values: tuple[Any, ...]) -> str:
    """`spec.containers[name=model]`: an item of a keyed list, without the keys that were left to their default."""
    pairs = zip(keys, values, strict=True)
    return f"{where}[{','.join(f'{k}={v}' for k, v in pairs if v != KEY_DEFAULTS.get(k))}]"
