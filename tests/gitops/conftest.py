"""The operator at work on the bare API server, as in tests/api."""

from tests.api.conftest import cleanup, model, site

__all__ = ["cleanup", "model", "site"]
