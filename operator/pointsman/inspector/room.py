"""Room: how many bytes of bodies are held at a time, whatever comes."""

from __future__ import annotations


class Room:
    """A number of bytes that requests take and give back."""

    def __init__(self, size: int) -> None:
        self.left = size

    def holding(self) -> Holding:
        """What one request holds of it: nothing yet."""
        return Holding(self)


class Holding:
    """The bytes that one request has taken, its answers included."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0

    def take(self, size: int) -> bool:
        """Take so many more, if there are so many."""
        if size > self._room.left:
            return False
        self._room.left -= size
        self._size += size
        return True

    def release(self) -> None:
        """Give everything back."""
        self._room.left += self._size
        self._size = 0
