"""The errors that decide what the controller does next; nothing else decides that.

PointsmanError
├── Terminal      waiting does not help: the user has to change something (the spec, a policy, a runtime)
└── Retryable     the world may be different in a moment: back off and try again
    ├── Conflict      somebody wrote in between: gather again at once
    └── Unavailable   the API server or Prometheus did not answer, or not in time
"""

from __future__ import annotations


class PointsmanError(Exception):
    """Whatever Pointsman raises on purpose; the message is a sentence for the user."""


class Terminal(PointsmanError):  # noqa: N818  the name is the verdict, as controller-runtime's TerminalError
    """Waiting does not help: something the user wrote has to change."""


class Retryable(PointsmanError):  # noqa: N818  see Terminal
    """Trying again later may succeed."""


class Conflict(Retryable):
    """The object changed since it was read."""


class Unavailable(Retryable):
    """The other side did not answer, or not in time."""
