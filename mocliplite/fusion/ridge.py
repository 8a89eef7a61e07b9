"""Linear classifiers in closed form: ridge regression onto one-hot labels, without seeds or epochs.

Features are standardised by the train clips; the intercept is not penalised. This equals scikit-learn's
`Ridge(alpha, fit_intercept=True)` after a `StandardScaler`, with one output per class; where a clip may have several
classes, its targets are 1 for all of them. It is written by hand because
scikit-learn would compute the Gram matrix again for each penalty, and refit for each group that is left out.
"""

from dataclasses import dataclass

import numpy as np

ALPHAS = tuple(float(10**power) for power in np.arange(-1, 5.5, 0.5))  # penalties tried on validation


@dataclass(frozen=True)
class Standardised:
    """Train data of a ridge: float64 x [N, D], standardised; y [N, C], centred one-hot labels.

    With weights, the row of each clip is multiplied by the square root of its weight.
    """

    x: np.ndarray
    y: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    prior: np.ndarray  # float64 [C], share of each class in the total weight

    @property
    def dual(self) -> bool:
        """Whether the N x N system is smaller than the D x D one."""
        return len(self.x) < self.x.shape[1]


def targets(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return 1 for the classes of a clip and 0 for the others, float64 [N, C]. labels: int64 [N] or uint8 [N, C]."""
    return np.eye(classes)[labels] if labels.ndim == 1 else labels.astype(np.float64)


def standardised(
    features: np.ndarray, labels: np.ndarray, classes: int, weights: np.ndarray | None = None
) -> Standardised:
    """Standardise features [N, D]; a constant feature becomes 0 and gets no weight.

    weights: weight of each clip, float64 [N], or None for equal weights. As scikit-learn's `StandardScaler` and `Ridge`
    with `sample_weight`, the means and standard deviations are weighted too.
    """
    x, one_hot = features.astype(np.float64), targets(labels, classes)
    if weights is None:
        mean, std, prior = x.mean(axis=0), x.std(axis=0), one_hot.mean(axis=0)
    else:
        mean, prior = (np.average(values, axis=0, weights=weights) for values in (x, one_hot))
        std = np.sqrt(np.average(np.square(x - mean), axis=0, weights=weights))
    std = np.where(std > 1e-6, std, 1.0)
    root = 1.0 if weights is None else np.sqrt(weights)[:, None]
    return Standardised((x - mean) / std * root, (one_hot - prior) * root, mean, std, prior)


def gram(train: Standardised) -> np.ndarray:
    """Gram matrix, float64 [N, N] or [D, D], computed once for all penalties."""
    return train.x @ train.x.T if train.dual else train.x.T @ train.x


def solve(train: Standardised, gram_matrix: np.ndarray, alpha: float) -> np.ndarray:
    """Return the weights, float64 [D, C], for one penalty above 0."""
    penalised = gram_matrix + alpha * np.eye(len(gram_matrix))
    if train.dual:
        return train.x.T @ np.linalg.solve(penalised, train.y)
    return np.linalg.solve(penalised, train.x.T @ train.y)


def fit_ridge(
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    classes: int,
    weights: np.ndarray | None = None,
) -> tuple[dict[str, np.ndarray], float]:
    """Return the tensors of the probe (see `probe_logits`) and its penalty, that of the lowest squared error on val.

    train and val: features float32 [N, D] and labels int64 [N]. weights: weight of a clip of each class, float64 [C],
    in the fit and in the error on val, or None for equal weights. Of equally good penalties, the largest is chosen.
    """
    data = standardised(*train, classes, None if weights is None else weights[train[1]])
    gram_matrix = gram(data)
    x_val, y_val = (val[0] - data.mean) / data.std, targets(val[1], classes) - data.prior
    solved = {alpha: solve(data, gram_matrix, alpha) for alpha in ALPHAS}
    root = 1.0 if weights is None else np.sqrt(weights[val[1]])[:, None]
    errors = {alpha: float(np.square((x_val @ weight - y_val) * root).mean()) for alpha, weight in solved.items()}
    best = min(ALPHAS, key=lambda alpha: (errors[alpha], -alpha))
    tensors = {"mean": data.mean, "std": data.std, "weight": solved[best], "bias": data.prior}
    return {name: value.astype(np.float32) for name, value in tensors.items()}, best


def probe_logits(tensors: dict[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """Uncalibrated scores float32 [N, C] of features [N, D]: near 1 for the predicted class, near 0 for the others."""
    return (features - tensors["mean"]) / tensors["std"] @ tensors["weight"] + tensors["bias"]


def scores_of(train: tuple[np.ndarray, np.ndarray], classes: int, alpha: float, features: np.ndarray) -> np.ndarray:
    """Return the uncalibrated scores float64 [M, C] of features [M, D], by the ridge fitted on `train`.

    train: features float32 [N, D] and labels int64 [N].
    """
    data = standardised(*train, classes)
    return (features - data.mean) / data.std @ solve(data, gram(data), alpha) + data.prior


def left_out_scores(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int, alpha: float
) -> np.ndarray:
    """Scores float64 [N, C] of each clip by the ridge fitted on the clips of all other groups.

    Exact, without refitting: with H the hat matrix (it maps labels to fitted scores, intercept included) and
    e = y - Hy, the residuals of a left-out group g are (I - H_gg)^-1 e_g.
    """
    data = standardised(features, labels, classes)
    inverse = np.linalg.inv(gram(data) + alpha * np.eye(len(data.x) if data.dual else data.x.shape[1]))
    # H = left @ right, but for the intercept: x (x'x + aI)^-1 x' equals xx' (xx' + aI)^-1.
    left, right = (data.x @ data.x.T, inverse) if data.dual else (data.x @ inverse, data.x.T)
    residuals = data.y - left @ (right @ data.y)
    scores = np.empty_like(residuals)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        hat = left[rows] @ right[:, rows] + 1 / len(labels)
        scores[rows] = targets(labels[rows], classes) - np.linalg.solve(np.eye(len(rows)) - hat, residuals[rows])
    return scores


def left_out_penalty(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int) -> float:
    """Return the penalty of the lowest squared error of `left_out_scores`; of equally good ones, the largest.

    Where all clips are of one group nothing can be left out, and the largest penalty is returned: the answer is then
    close to the class with the nearest mean.
    """
    if len(np.unique(groups)) == 1:
        return max(ALPHAS)
    wanted = targets(labels, classes)

    def error(alpha: float) -> float:
        return float(np.square(left_out_scores(features, labels, groups, classes, alpha) - wanted).mean())

    errors = {alpha: error(alpha) for alpha in ALPHAS}
    return min(ALPHAS, key=lambda alpha: (errors[alpha], -alpha))
