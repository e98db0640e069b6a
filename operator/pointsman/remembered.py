"""Remembers what was made of the same objects: parsed specs stay the same object until somebody changes them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def identities(*args: object, **kwargs: object) -> Hashable:
    """The arguments are known by being the same objects."""
    return (*map(id, args), *map(id, kwargs.values()))


def remembered(size: int, by: Callable[..., Hashable] = identities) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Remember the last `size` results; the arguments are kept with them and are not changed afterwards.

    Args:
        size: results.
        by: what the arguments are known by; it may name their ids, which nobody else gets while they are kept.
    """

    def remember(function: Callable[P, T]) -> Callable[P, T]:
        known: OrderedDict[Hashable, tuple[object, T]] = OrderedDict()

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            key = by(*args, **kwargs)
            hit = known.get(key)
            if hit is None:
                hit = known[key] = ((args, kwargs), function(*args, **kwargs))
                if len(known) > size:
                    known.popitem(last=False)
            else:
                known.move_to_end(key)
            return hit[1]

        return call

    return remember
