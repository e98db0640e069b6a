"""What stops the cluster's set-up: one sentence for the person who started it."""

from __future__ import annotations


class SetupError(Exception):
    """Something that only the person at the keyboard can change; its text is the one sentence they read."""
