"""Linear classifiers in closed form: ridge regression onto one-hot labels, without seeds or epochs.

Features are standardised by the train clips; the intercept is not penalised. This equals scikit-learn's
`Ridge(alpha, fit_intercept=True)` after a `StandardScaler`, with one output per class; where a clip may have several
classes, its targets are 1 for all of them. It is written by hand because scikit-learn would compute the Gram matrix
again for each penalty, refit for each group that is left out, and hold several float64 copies of the features.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

ALPHAS = tuple(float(10**power) for power in np.arange(-1, 5.5, 0.5))  # penalties tried on validation
_PART = 8192  # clips that are standardised at a time, to limit memory


@dataclass(frozen=True)
class Standardised:
    """Train data of a ridge, standardised by parts: features [N, D], labels as for `targets`, and weights [N]."""

    features: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    prior: np.ndarray  # float64 [C], share of each class in the total weight

    @property
    def dual(self) -> bool:
        """Whether the N x N system is smaller than the D x D one."""
        return len(self.features) < self.features.shape[1]

    def rows(self, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Standardised features and centred targets of some clips, float64, times the roots of their weights."""
        root = np.sqrt(self.weights[rows])[:, None]
        y = targets(self.labels[rows], len(self.prior)) - self.prior
        return (self.features[rows] - self.mean) / self.std * root, y * root


@dataclass(frozen=True)
class Equations:
    """The system (gram + alpha I) s = right of a ridge; its solution s, or x.T @ s with an x, are the weights [D, C].

    gram and right: X'X and X'Y; or if `Standardised.dual`, XX' and Y, and x is X.
    """

    gram: np.ndarray
    right: np.ndarray
    x: np.ndarray | None = None


def targets(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return 1 for the classes of a clip and 0 for the others, float64 [N, C]. labels: int64 [N], or targets [N, C]."""
    if labels.ndim == 2:
        return labels.astype(np.float64)
    one_hot = np.zeros((len(labels), classes))
    one_hot[np.arange(len(labels)), labels] = 1
    return one_hot


def standardised(
    features: np.ndarray, labels: np.ndarray, classes: int, weights: np.ndarray | None = None
) -> Standardised:
    """Standardise features [N, D]; a constant feature becomes 0 and gets no weight.

    labels: int64 [N], or targets [N, C] of any type. weights: weight of each clip, float64 [N], or None for equal
    weights. As scikit-learn's `StandardScaler` and `Ridge` with `sample_weight`, the means and standard deviations are
    weighted too.
    """
    weights = np.ones(len(features)) if weights is None else weights
    parts = [(slice(start, start + _PART), weights[start : start + _PART, None]) for start in _starts(len(features))]
    total = weights.sum()
    mean = sum((features[rows].astype(np.float64) * weight).sum(axis=0) for rows, weight in parts) / total
    prior = sum((targets(labels[rows], classes) * weight).sum(axis=0) for rows, weight in parts) / total
    std = np.sqrt(sum((np.square(features[rows] - mean) * weight).sum(axis=0) for rows, weight in parts) / total)
    return Standardised(features, labels, weights, mean, np.where(std > 1e-6, std, 1.0), prior)


def _starts(count: int) -> range:
    return range(0, count, _PART)


def equations(train: Standardised) -> Equations:
    """Return the equations of a ridge, computed once for all penalties."""
    if train.dual:
        x, y = train.rows(slice(None))
        return Equations(x @ x.T, y, x)
    length, classes = train.features.shape[1], len(train.prior)
    gram, right = np.zeros((length, length)), np.zeros((length, classes))
    for start in _starts(len(train.features)):
        x, y = train.rows(slice(start, start + _PART))
        gram += x.T @ x
        right += x.T @ y
    return Equations(gram, right)


def solve(system: Equations, alpha: float) -> np.ndarray:
    """Return the weights, float64 [D, C], for one penalty above 0."""
    solution = np.linalg.solve(_penalised(system, alpha), system.right)
    return solution if system.x is None else system.x.T @ solution


def _penalised(system: Equations, alpha: float) -> np.ndarray:
    return system.gram + alpha * np.eye(len(system.gram))


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
    system = equations(data)
    x_val, y_val = (val[0] - data.mean) / data.std, targets(val[1], classes) - data.prior
    solved = {alpha: solve(system, alpha) for alpha in ALPHAS}
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
    return (features - data.mean) / data.std @ solve(equations(data), alpha) + data.prior


def left_out_scores(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int, alpha: float
) -> np.ndarray:
    """Scores float64 [N, C] of each clip by the ridge fitted on the clips of all other groups.

    Exact, without refitting: with H the hat matrix (it maps labels to fitted scores, intercept included) and
    e = y - Hy, the residuals of a left-out group g are (I - H_gg)^-1 e_g. A group of more clips than features is
    refitted instead, from the equations without its clips.
    """
    data = standardised(features, labels, classes)
    return _left_out_scores(data, equations(data), groups, alpha)


def _left_out_scores(data: Standardised, system: Equations, groups: np.ndarray, alpha: float) -> np.ndarray:
    count, length = data.features.shape
    inverse = np.linalg.inv(_penalised(system, alpha))
    solution = inverse @ system.right
    scores = np.empty((count, len(data.prior)))
    for rows, bounds in _whole_groups(groups):
        x, y = data.rows(rows)
        # H = left @ right, but for the intercept: x (x'x + aI)^-1 x' equals xx' (xx' + aI)^-1.
        left, right = (system.gram[rows], inverse[:, rows]) if data.dual else (x @ inverse, x.T)
        residuals = y - (system.gram[rows] if data.dual else x) @ solution
        for first, last in bounds:
            group = slice(first, last)
            if last - first > length:
                residuals[group] = _refitted_residuals(system, count, alpha, x[group], y[group])
            else:
                hat = left[group] @ right[:, group] + 1 / count
                residuals[group] = np.linalg.solve(np.eye(last - first) - hat, residuals[group])
        scores[rows] = y + data.prior - residuals
    return scores


def _whole_groups(groups: np.ndarray) -> Iterator[tuple[np.ndarray, list[tuple[int, int]]]]:
    """Yield the rows of about _PART clips of whole groups, and the first and last position of each group in them."""
    names, group = np.unique(groups, return_inverse=True)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=len(names)))
    starts = np.concatenate([[0], ends[:-1]])
    for part in np.split(np.arange(len(names)), np.flatnonzero(np.diff(starts // _PART)) + 1):
        begin, end = starts[part[0]], ends[part[-1]]
        yield order[begin:end], [(int(starts[one] - begin), int(ends[one] - begin)) for one in part]


def _refitted_residuals(system: Equations, count: int, alpha: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Residuals of a group x [n, D], y [n, C] by the ridge fitted on the other of `count` clips; n is above D."""
    # The last feature is the intercept: its mean over all clips is 1, and the other features have the mean 0.
    z = np.column_stack([x, np.ones(len(x))])
    gram, right = np.zeros((z.shape[1], z.shape[1])), np.zeros((z.shape[1], y.shape[1]))
    gram[:-1, :-1], gram[-1, -1], right[:-1] = _penalised(system, alpha), count, system.right
    return y - z @ np.linalg.solve(gram - z.T @ z, right - z.T @ y)


def left_out_penalty(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int) -> float:
    """Return the penalty of the lowest squared error of `left_out_scores`; of equally good ones, the largest.

    Where all clips are of one group nothing can be left out, and the largest penalty is returned: the answer is then
    close to the class with the nearest mean.
    """
    if len(np.unique(groups)) == 1:
        return max(ALPHAS)
    data, wanted = standardised(features, labels, classes), targets(labels, classes)
    system = equations(data)

    def error(alpha: float) -> float:
        return float(np.square(_left_out_scores(data, system, groups, alpha) - wanted).mean())

    errors = {alpha: error(alpha) for alpha in ALPHAS}
    return min(ALPHAS, key=lambda alpha: (errors[alpha], -alpha))
