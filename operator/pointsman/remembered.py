"""Remembers what was made of the same objects: parsed specs stay the same object until somebody changes them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def remembered(size: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Remember the last `size` results by the identity of the positional arguments, which are not changed afterwards."""

    def remember(function: Callable[P, T]) -> Callable[P, T]:
        known: OrderedDict[tuple[int, ...], tuple[object, T]] = OrderedDict()

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            key = tuple(map(id, args))
            hit = known.get(key)
            if hit is None:
                hit = known[key] = (args, function(*args, **kwargs))  # kept, so that no other object gets their ids
                if len(known) > size:
                    known.popitem(last=False)
            else:
                known.move_to_end(key)
            return hit[1]

        return call

    return remember
