from __future__ import annotations

from pointsman.remembered import remembered


def test_what_was_made_of_the_same_objects_is_made_once() -> None:
    made: list[list[int]] = []

    @remembered(2)
    def total(one: list[int]) -> int:
        made.append(one)
        return sum(one)

    first, equal, third = [1, 2], [1, 2], [3]
    assert [total(first), total(first), total(equal), total(first)] == [3, 3, 3, 3]
    assert [id(one) for one in made] == [id(first), id(equal)]  # equal is not the same
    assert total(third) == 3
    assert total(equal) == 3  # the oldest of three was forgotten
    assert [id(one) for one in made[2:]] == [id(third), id(equal)]
