"""A short run of benchmarks/fuzz.py."""

from dataclasses import replace

from builders import CHECKOUT

from benchmarks import fuzz
from mocliplite import params

COMPUTE = replace(params.load(CHECKOUT / "params.yaml").compute, workers=2, engine="processes", time_limit=60)


def test_every_damaged_clip_gives_a_field_or_a_clear_error(tmp_path):
    found = list(fuzz.outcomes(fuzz.rendered(tmp_path), 150, seed=1, compute=COMPUTE))
    assert [outcome for _, outcome in found if not fuzz.is_answer(outcome)] == []
    assert {damage for damage, _ in found} == set(fuzz.DAMAGES)
    kinds = {outcome for _, outcome in found}
    assert {"a field, damaged frames counted", "refused: is damaged", "refused: cannot be decoded"} <= kinds


def test_the_damage_depends_only_on_the_seed(tmp_path):
    files = fuzz.rendered(tmp_path)
    first, second, other = (list(fuzz.outcomes(files, 20, seed, COMPUTE)) for seed in (2, 2, 3))
    assert first == second != other


def test_other_exceptions_and_sentences_are_reported():
    assert not fuzz.is_answer("motion: ValueError: x")
    assert not fuzz.is_answer("odd sentence: x")
