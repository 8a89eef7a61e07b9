"""The short form of benchmarks/fuzz.py."""

from dataclasses import replace

from builders import CHECKOUT

from benchmarks import fuzz
from mocliplite import params

COMPUTE = replace(params.load(CHECKOUT / "params.yaml").compute, workers=2, engine="processes", time_limit=60)


def test_every_mutated_clip_has_an_answer(tmp_path):
    found = list(fuzz.outcomes(fuzz.rendered(tmp_path), 150, seed=1, compute=COMPUTE))
    assert [outcome for _, outcome in found if not fuzz.is_answer(outcome)] == []
    assert {way for way, _ in found} == set(fuzz.DAMAGES)
    kinds = {outcome for _, outcome in found}
    assert {"a field, damaged frames counted", "refused: is damaged", "refused: cannot be decoded"} <= kinds


def test_a_mutation_depends_on_the_seed_alone(tmp_path):
    files = fuzz.rendered(tmp_path)
    first, again, other = (list(fuzz.outcomes(files, 20, seed, COMPUTE)) for seed in (2, 2, 3))
    assert first == again != other


def test_a_mistake_of_ours_is_no_answer():
    assert not fuzz.is_answer("motion: ValueError: x")
    assert not fuzz.is_answer("odd sentence: x")
