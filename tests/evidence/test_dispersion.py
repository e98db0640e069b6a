"""How counts vary from look to look: chance, bursts of a look or of minutes, and what wanders slowly."""

from __future__ import annotations

import numpy as np
import pytest

from pointsman.evidence.dispersion import ASSUMED, Dispersion

LOOKS, RUNS = 640, 100


def measured(bad: np.ndarray, requests: int = 50) -> np.ndarray:
    """Return phi after each run's looks, of bad requests per look, shape (looks, runs)."""
    state = Dispersion.begin((bad.shape[1],), 2)
    for look in bad:
        state = state.fold(np.stack([requests - look, look], axis=-1).astype(float))
    return state.phi()


def test_chance_alone_is_one() -> None:
    phi = measured(np.random.default_rng(1).binomial(50, 0.1, (LOOKS, RUNS)))
    assert float(np.median(phi)) == pytest.approx(1.09, abs=0.05)
    assert float(np.quantile(phi, 0.95)) < 1.5


def test_what_wanders_slowly_is_no_burst() -> None:
    rate = 0.1 + 0.08 * np.sin(np.arange(LOOKS) * 2 * np.pi / 1440)
    assert float(np.median(measured(np.random.default_rng(2).binomial(50, rate[:, None], (LOOKS, RUNS))))) < 1.2


@pytest.mark.parametrize(("lasts", "least"), [(1, 10.0), (6, 50.0)])
def test_bursts_are_found_also_when_they_last(lasts: int, least: float) -> None:
    rng = np.random.default_rng(3)
    bursting = np.repeat(rng.random((LOOKS // lasts + 1, RUNS)) < 0.1, lasts, axis=0)[:LOOKS]
    assert float(np.median(measured(rng.binomial(50, np.where(bursting, 0.5, 0.02))))) > least


def test_it_is_assumed_while_there_is_too_little() -> None:
    assert measured(np.zeros((200, 1), dtype=int))[0] == ASSUMED
    assert measured(np.ones((10, 1), dtype=int))[0] == ASSUMED
    nothing = Dispersion.begin((), 2)
    assert nothing.fold(np.zeros(2)).looks == 0
