import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from mocliplite.fusion import ridge


def clips(count, dimensions, classes=4, seed=0, distance=1.0):
    """Features float32 around a centre per class, at different scales; and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = np.random.default_rng(99).normal(size=(classes, dimensions)) * distance
    scales = np.linspace(0.1, 30, dimensions)
    return ((centres[labels] + rng.normal(size=(count, dimensions))) * scales).astype(np.float32), labels


@pytest.mark.parametrize(("count", "dimensions"), [(60, 12), (20, 50)])
@pytest.mark.parametrize("alpha", [0.1, 30.0])
def test_scores_equal_scikit_learns_ridge(count, dimensions, alpha):
    x, labels = clips(count, dimensions)
    data = ridge.standardised(x, labels, 4)
    # Both the D x D system and the N x N system are solved.
    assert data.dual == (count < dimensions)
    weights = ridge.solve(ridge.equations(data), alpha)
    tensors = {"mean": data.mean, "std": data.std, "weight": weights, "bias": data.prior}
    scaler = StandardScaler().fit(x.astype(np.float64))
    reference = Ridge(alpha).fit(scaler.transform(x.astype(np.float64)), np.eye(4)[labels])
    new, _ = clips(30, dimensions, seed=1)
    expected = reference.predict(scaler.transform(new.astype(np.float64)))
    assert ridge.probe_logits(tensors, new) == pytest.approx(expected, abs=1e-5)


def test_parts_change_no_result(monkeypatch):
    x, labels = clips(60, 12)
    groups = np.arange(60) // 4

    def results():
        tensors, alpha = ridge.fit_ridge((x, labels), clips(30, 12, seed=1), 4)
        return [*tensors.values(), alpha, ridge.left_out_scores(x, labels, groups, 4, 5.0)]

    whole = results()
    monkeypatch.setattr(ridge, "_PART", 7)
    for in_parts, expected in zip(results(), whole, strict=True):
        assert in_parts == pytest.approx(expected, abs=1e-6)


def test_penalty_has_the_lowest_squared_error_on_validation():
    train, val = clips(40, 30), clips(400, 30, seed=1)
    tensors, alpha = ridge.fit_ridge(train, val, 4)
    errors = {}
    for candidate in ridge.ALPHAS:
        scaler = StandardScaler().fit(train[0])
        fitted = Ridge(candidate).fit(scaler.transform(train[0]), np.eye(4)[train[1]])
        errors[candidate] = np.square(fitted.predict(scaler.transform(val[0])) - np.eye(4)[val[1]]).mean()
    assert alpha == min(errors, key=errors.get)
    assert ridge.ALPHAS[0] < alpha < ridge.ALPHAS[-1]
    assert {value.dtype for value in tensors.values()} == {np.dtype(np.float32)}


def test_uninformative_features_get_a_large_penalty():
    rng = np.random.default_rng(0)
    train, val = ((rng.normal(size=(60, 20)).astype(np.float32), np.arange(60) % 4) for _ in range(2))
    assert ridge.fit_ridge(train, val, 4)[1] >= 1000


@pytest.mark.parametrize("constant", [0.0, -300.7])
def test_a_constant_feature_gets_no_weight(constant):
    (x, labels), (x_val, labels_val) = clips(60, 12), clips(60, 12, seed=1)
    x[:, 3] = x_val[:, 3] = constant
    tensors, _ = ridge.fit_ridge((x, labels), (x_val, labels_val), 4)
    assert tensors["weight"][3] == pytest.approx(np.zeros(4), abs=1e-6)
    assert np.isfinite(ridge.probe_logits(tensors, x_val)).all()


@pytest.mark.parametrize(("count", "dimensions", "size"), [(45, 10, 3), (24, 40, 3), (60, 4, 6)])
def test_left_out_scores_equal_those_of_a_ridge_fitted_without_the_group(count, dimensions, size):
    """Also where a group has more clips than there are features."""
    x, labels = clips(count, dimensions)
    groups = np.random.default_rng(0).permutation(np.arange(count) // size)
    scores = ridge.left_out_scores(x, labels, groups, 4, alpha=5.0)
    # The standardisation is that of all clips, those of the group included.
    standardised = StandardScaler().fit_transform(x.astype(np.float64))
    for group in (0, 7):
        rows = groups == group
        fitted = Ridge(5.0).fit(standardised[~rows], np.eye(4)[labels[~rows]])
        assert scores[rows] == pytest.approx(fitted.predict(standardised[rows]), abs=1e-8)


def test_the_left_out_penalty_has_the_lowest_squared_error_on_the_groups_left_out():
    x, labels = clips(48, 20)
    groups = np.repeat(np.arange(12), 4)
    errors = {}
    for alpha in ridge.ALPHAS:
        scores = np.empty((48, 4))
        for group in range(12):
            train = groups != group
            scores[~train] = ridge.scores_of((x[train], labels[train]), 4, alpha, x[~train])
        errors[alpha] = np.square(scores - np.eye(4)[labels]).mean()
    # Here the features are standardised by the clips that are left, in the closed form by all clips.
    nearly_best = [alpha for alpha in ridge.ALPHAS if errors[alpha] < 1.05 * min(errors.values())]
    assert len(nearly_best) < 6
    assert ridge.left_out_penalty(x, labels, groups, 4) in nearly_best


def test_the_left_out_penalty_of_a_single_group_is_the_largest():
    x, labels = clips(8, 20)
    assert ridge.left_out_penalty(x, labels, np.zeros(8), 4) == max(ridge.ALPHAS)


@pytest.mark.parametrize(("count", "dimensions"), [(60, 12), (20, 50)])
def test_weighted_scores_equal_scikit_learns_ridge_with_sample_weights(count, dimensions):
    x, labels = clips(count, dimensions)
    weights = np.array([0.5, 1.0, 2.0, 4.0])[labels]
    data = ridge.standardised(x, labels, 4, weights)
    solved = ridge.solve(ridge.equations(data), 3.0)
    tensors = {"mean": data.mean, "std": data.std, "weight": solved, "bias": data.prior}
    scaler = StandardScaler().fit(x.astype(np.float64), sample_weight=weights)
    reference = Ridge(3.0).fit(scaler.transform(x.astype(np.float64)), np.eye(4)[labels], sample_weight=weights)
    new, _ = clips(30, dimensions, seed=1)
    expected = reference.predict(scaler.transform(new.astype(np.float64)))
    assert ridge.probe_logits(tensors, new) == pytest.approx(expected, abs=1e-5)


def test_the_penalty_has_the_lowest_weighted_error():
    train, val = clips(40, 30), clips(400, 30, seed=1)
    # The features of the heavy class are noise on validation, so that a large penalty suits it.
    val[0][val[1] == 0] = np.random.default_rng(2).normal(size=(100, 30)) * np.linspace(0.1, 30, 30)
    assert ridge.fit_ridge(train, val, 4, np.array([1.0, 0.01, 0.01, 0.01]))[1] > ridge.fit_ridge(train, val, 4)[1]
