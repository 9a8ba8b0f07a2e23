"""A linear probe: can a straight cut through the image vectors tell who has a thing?

If the probe can and the text cannot, words are the weak side; if neither can, the encoder dropped it from the picture.

Shapes: N images, D embedding dimension.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

MOST_FIT = 5000
WEIGHT_DECAY = 10.0  # on weights of standardised vectors: a few hundred images do not determine 128 of them
STEPS = 100


@dataclass(frozen=True, slots=True)
class LinearProbe:
    """A logistic regression on standardised image vectors."""

    mean_D: NDArray[np.float64]
    spread_D: NDArray[np.float64]
    weight_D: NDArray[np.float64]

    def scores(self, image_ND: NDArray[np.float32]) -> NDArray[np.float64]:
        """Higher where the thing is more likely [N]."""
        scores_N: NDArray[np.float64] = ((image_ND - self.mean_D) / self.spread_D) @ self.weight_D
        return scores_N


def fit_probe(image_ND: NDArray[np.float32], has_it_N: NDArray[np.bool_]) -> LinearProbe:
    """Fit on at most MOST_FIT images, evenly spread; the same input gives the same probe."""
    chosen = np.unique(np.linspace(0, len(image_ND) - 1, min(MOST_FIT, len(image_ND))).astype(int))
    fit_ND, sign_N = image_ND[chosen].astype(np.float64), np.where(has_it_N[chosen], 1.0, -1.0)
    mean_D, spread_D = fit_ND.mean(axis=0), fit_ND.std(axis=0) + 1e-9
    standard_ND = (fit_ND - mean_D) / spread_D

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight_D, bias = parameters[:-1], parameters[-1]
        margin_N = sign_N * (standard_ND @ weight_D + bias)
        slope_N = -sign_N / (1 + np.exp(np.clip(margin_N, -500, 500)))
        value = np.logaddexp(0, -margin_N).sum() + WEIGHT_DECAY / 2 * (weight_D @ weight_D)
        return float(value), np.append(slope_N @ standard_ND + WEIGHT_DECAY * weight_D, slope_N.sum())

    start = np.zeros(image_ND.shape[1] + 1)
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    return LinearProbe(mean_D, spread_D, fitted[:-1])
