"""A short run of benchmarks/fuzz, and the inputs that it found."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.fuzz import hdf5, outcomes, runs, trees
from benchmarks.fuzz.clips import rendered
from benchmarks.fuzz.entries import ENTRIES
from mocliplite.store import layout, schema

# Those that start processes of their own for each input, or load networks, take seconds each.
QUICK = [name for name in ENTRIES if name not in ("windows", "doctor", "exports")]
CORPUS = Path(__file__).parent / "fuzz_corpus"


@pytest.fixture
def run(small_models, monkeypatch, tmp_path):
    """A run of the quick entry points in this process, where a store has few files."""
    monkeypatch.setattr(schema, "SHARDS", dict(schema.SHARDS))
    monkeypatch.setattr(layout, "MOST_SHARDS", layout.MOST_SHARDS)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return runs.Run(1, small_models, "", QUICK)


def test_every_input_is_used_or_is_a_row_of_failures_or_a_sentence(run):
    found = [(runs.entry_of(run, number), *runs.try_input(run, number)) for number in range(120)]
    assert [(entry, *other) for entry, *other in found if other[1].kind in outcomes.ERRORS] == []
    assert {entry for entry, *_ in found} == set(QUICK)
    kinds = Counter(outcome.kind for *_, outcome in found)
    assert min(kinds[kind] for kind in (outcomes.ACCEPTED, outcomes.FAILED, outcomes.REFUSED)) > 5


def test_the_inputs_depend_on_the_seed_alone(run):
    def content(run, number):
        with runs._temporary_folder():
            name = runs.make(run, number)
            paths = sorted(path for path in runs.INPUT.rglob("*") if path.is_file())
            return name, [(str(path), path.read_bytes()) for path in paths]

    first, again, other = ([content(run._replace(seed=seed), number) for number in range(20)] for seed in (2, 2, 3))
    assert first == again
    assert first != other


@pytest.mark.parametrize("case", sorted(path.name for path in CORPUS.iterdir()))
def test_what_was_found_stays_mended(run, case):
    outcome = runs.try_file(case.partition("-")[0], run.project, CORPUS / case)
    assert outcome.kind in (outcomes.ACCEPTED, outcomes.FAILED, outcomes.REFUSED), outcome.text


def test_an_exception_and_a_text_that_is_no_sentence_are_errors():
    assert outcomes.sentence("clip.avi is empty").kind == outcomes.OTHER
    assert outcomes.sentence("Traceback (most recent call last).").kind == outcomes.OTHER
    assert outcomes.sentence("clip.avi is empty; remove it.").kind == outcomes.REFUSED
    assert runs.read("params", Path()).kind == outcomes.REFUSED  # there is no file
    assert runs.read("nothing", Path()).kind == outcomes.TRACEBACK


@pytest.mark.parametrize("ending", ["mp4", "avi", "mov"])
def test_a_container_that_is_not_edited_is_written_as_it_was(ending):
    parse, build = trees.FORMATS["avi" if ending == "avi" else "mp4"]
    for content in [content for name, content in rendered() if name == ending]:
        assert build(parse(content)) == content
        assert len(list(trees._walk(parse(content)))) > 20


def test_checksums_of_hdf5_are_those_of_the_library(small_models):
    content = min((small_models / "features/motion").glob("*.h5")).read_bytes()
    places = [place for signature in hdf5._SIGNATURES for place in hdf5._places(content, signature)]
    assert len(places) > 2
    for start in places:
        end = start + hdf5._length(content, start) - 4
        assert hdf5.lookup3(content[start:end]) == int.from_bytes(content[end : end + 4], "little")
