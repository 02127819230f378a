"""Fréchet distance between embeddings: how far one set of moments is from another (Heusel 2017, Kilgour 2019).

The embedding is the transcriber's own (`onsets.Heard.context`), brought to its principal components over the true
continuations. Only figures of one table compare: never with anybody else's FAD.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COMPONENTS = 16
"""As many as the seconds of a continuation: one continuation alone has a covariance of no higher rank."""


@dataclass(frozen=True)
class Projection:
    """The principal components of a set."""

    mean: np.ndarray
    axes: np.ndarray
    """[d, components]"""
    kept: float
    """Share of the set's variance that they hold"""

    @classmethod
    def of(cls, embeddings: np.ndarray, components: int = COMPONENTS) -> Projection:
        """Of embeddings [n, d], scaled so that all components together have variance 1: distances are shares of what
        the set itself varies."""
        mean = embeddings.mean(axis=0)
        _, singular, axes = np.linalg.svd(embeddings - mean, full_matrices=False)
        count = min(components, len(singular))
        variance = singular**2
        scale = np.sqrt(variance[:count].sum() / max(1, len(embeddings) - 1))
        return cls(mean, axes[:count].T / max(scale, 1e-12), float(variance[:count].sum() / max(variance.sum(), 1e-12)))

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """[n, d] → [n, components]"""
        return (embeddings - self.mean) @ self.axes


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Between the Gaussians of [n, d] and [m, d]: ‖μa − μb‖² + tr(Σa + Σb − 2 (Σa Σb)^½)."""
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    root = _root(_covariance(a))
    cross = np.linalg.eigvalsh(root @ _covariance(b) @ root)
    spread = np.trace(_covariance(a)) + np.trace(_covariance(b)) - 2 * np.sqrt(np.maximum(cross, 0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + max(0.0, spread))


def _covariance(x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=0)
    return centred.T @ centred / max(1, len(x) - 1)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
