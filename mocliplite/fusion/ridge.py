"""Linear classifiers in closed form: ridge regression onto one-hot labels. No seeds, no epochs, done at once.

Features are standardised by the train clips; the intercept is not penalised. This is scikit-learn's
`Ridge(alpha, fit_intercept=True)` behind a `StandardScaler`, one output a class.
"""

from dataclasses import dataclass

import numpy as np

ALPHAS = tuple(float(10**power) for power in np.arange(-1, 5.5, 0.5))  # penalties tried on validation


@dataclass(frozen=True)
class Standardised:
    """Train features as ridge wants them: float64 x [N, D] standardised, y [N, C] centred one-hot labels."""

    x: np.ndarray
    y: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    prior: np.ndarray  # float64 [C], share of each class

    @property
    def dual(self) -> bool:
        """Whether the N x N system is the smaller one."""
        return len(self.x) < self.x.shape[1]


def standardised(features: np.ndarray, labels: np.ndarray, classes: int) -> Standardised:
    """Standardise features [N, D]; one that never changes stays 0 and weighs nothing."""
    x = features.astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0)
    std = np.where(std > 1e-6, std, 1.0)
    one_hot = np.eye(classes)[labels]
    return Standardised((x - mean) / std, one_hot - one_hot.mean(axis=0), mean, std, one_hot.mean(axis=0))


def gram(train: Standardised) -> np.ndarray:
    """The products that a fit needs, float64 [N, N] or [D, D], computed once for all penalties."""
    return train.x @ train.x.T if train.dual else train.x.T @ train.x


def solve(train: Standardised, products: np.ndarray, alpha: float) -> np.ndarray:
    """Weights float64 [D, C] for one penalty above 0."""
    penalised = products + alpha * np.eye(len(products))
    if train.dual:
        return train.x.T @ np.linalg.solve(penalised, train.y)
    return np.linalg.solve(penalised, train.x.T @ train.y)


def fit_ridge(
    train: tuple[np.ndarray, np.ndarray], val: tuple[np.ndarray, np.ndarray], classes: int
) -> tuple[dict[str, np.ndarray], float]:
    """Tensors of the probe (see `probe_logits`) and its penalty: that of the lowest squared error on val.

    train and val: features float32 [N, D] and labels int64 [N]. The larger of equally good penalties is taken.
    """
    given = standardised(*train, classes)
    products = gram(given)
    seen, wanted = (val[0] - given.mean) / given.std, np.eye(classes)[val[1]] - given.prior
    weights = {alpha: solve(given, products, alpha) for alpha in ALPHAS}
    errors = {alpha: float(np.square(seen @ weight - wanted).mean()) for alpha, weight in weights.items()}
    alpha = min(ALPHAS, key=lambda one: (errors[one], -one))
    tensors = {"mean": given.mean, "std": given.std, "weight": weights[alpha], "bias": given.prior}
    return {name: value.astype(np.float32) for name, value in tensors.items()}, alpha


def probe_logits(tensors: dict[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """Scores float32 [N, C] of features [N, D]: near 1 for the class, near 0 for others, before a temperature."""
    return (features - tensors["mean"]) / tensors["std"] @ tensors["weight"] + tensors["bias"]


def left_out_scores(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int, alpha: float
) -> np.ndarray:
    """Scores float64 [N, C] of each clip by the ridge fitted on all clips but those of its group.

    Exact, without fitting again: with H the matrix that takes labels to fitted scores and e = y - Hy, the error of a
    group g that was left out is (I - H_gg)^-1 e_g (the intercept is part of H).
    """
    given = standardised(features, labels, classes)
    inverse = np.linalg.inv(gram(given) + alpha * np.eye(len(given.x) if given.dual else given.x.shape[1]))
    # x (x'x + a)^-1 x' is xx' (xx' + a)^-1 as well; rows of `half` times columns of `other` are its entries.
    half, other = (given.x @ given.x.T, inverse) if given.dual else (given.x @ inverse, given.x.T)
    errors = given.y - half @ (other @ given.y)
    out = np.empty_like(errors)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        own = half[rows] @ other[:, rows] + 1 / len(labels)
        out[rows] = np.eye(classes)[labels[rows]] - np.linalg.solve(np.eye(len(rows)) - own, errors[rows])
    return out
