# ruff: noqa: INP001  a script to copy, no part of a package
"""Counts predictions whose truth is known by now, for an Events gate of Pointsman: docs/events.md says why it counts like this.

    python exporter.py predictions.csv labels.csv 7       # id,at,version,predicted and id,label; a week until a label is due

A prediction is counted when its week is over, whichever version made it and whether its label came early: so in every moment
both versions are judged by predictions of the same age. Each day is a series of its own, which only grows until it is dropped.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 8000
KEPT = timedelta(days=14)  # a day's series stays so long after its first prediction was counted

Row = Mapping[str, str]


def page(predictions: Iterable[Row], labels: Mapping[str, str], *, now: datetime, due: timedelta) -> str:
    """What Prometheus scrapes: how many predictions were judged, and how many of them were wrong, by day and version."""
    judged: Counter[tuple[str, str]] = Counter()
    wrong: Counter[tuple[str, str]] = Counter()
    for row in predictions:
        at = datetime.fromisoformat(row["at"])
        dropped = at.replace(hour=0, minute=0, second=0, microsecond=0) + due + KEPT  # the whole day at once
        if row["id"] in labels and at + due <= now < dropped:
            cohort = at.date().isoformat(), row["version"]
            judged[cohort] += 1
            wrong[cohort] += labels[row["id"]] != row["predicted"]
    lines = ["# TYPE predictions_judged_total counter", "# TYPE predictions_wrong_total counter"]
    for (day, version), count in sorted(judged.items()):
        series = f'{{cohort="{day}",model_version="{version}"}}'
        lines += [f"predictions_judged_total{series} {count}", f"predictions_wrong_total{series} {wrong[day, version]}"]
    return "\n".join([*lines, ""])


class Metrics(BaseHTTPRequestHandler):
    """Reads the files at every scrape; a database is asked in the same place."""

    def do_GET(self) -> None:  # the name that http.server gives
        """Answer a scrape."""
        predictions, labels, days = sys.argv[1:]
        with Path(predictions).open(encoding="utf-8") as made, Path(labels).open(encoding="utf-8") as known:
            found = {row["id"]: row["label"] for row in csv.DictReader(known)}
            text = page(csv.DictReader(made), found, now=datetime.now(UTC), due=timedelta(days=float(days)))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), Metrics).serve_forever()
