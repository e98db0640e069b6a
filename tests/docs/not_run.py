"""Commands of the documentation that no test runs, and why: a pattern for the whole line -> the reason."""

from __future__ import annotations

import re
from typing import Final

NOT_RUN: Final = (
    (r"pip install .*", "would change the environment that the tests run in"),
    (r"eval .*|export .*", "only sets variables for the lines after it"),
    (r"git .*", "changes a repository, of which the reader has another one"),
    (r"docker .*", "there is no Docker here"),
    (r"argocd .*|flux .*", "asks a server that the bare cluster has not got"),
    (r"curl .*", "asks a gateway or a pod, which the bare cluster has not got; tests/e2e does"),
    (r"promtool .*", "tests/chart runs it"),
    (r"kubectl .*\b(logs|exec|port-forward|top|rollout)\b.*", "needs pods that run; tests/e2e has them"),
    (r"kubectl .*\bwait\b.*", "waits for what nothing brings about here"),
    (r"kubectl (krew|plugin) .*", "changes the machine"),
)


def reason(line: str) -> str | None:
    """Why a command is not run; None where it is."""
    return next((why for pattern, why in NOT_RUN if re.fullmatch(pattern, line)), None)
