"""A process of its own: receives mirrored requests, replays each to both versions, compares the answers and counts."""
