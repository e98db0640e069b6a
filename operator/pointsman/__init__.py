"""Pointsman: a Kubernetes operator that moves traffic to a new model only when there is proof that it is no worse."""

__version__ = "0.1.0"
