"""Records of the machines that computed a store, and what of them can change values."""

from pathlib import Path

import pytest

from mocliplite.extraction import machines

STORE = Path("features/motion")
pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture(autouse=True)
def new_process():
    """Each test records as a process of its own."""
    machines.record.cache_clear()


def record_with(monkeypatch, store=STORE, **changes):
    described = machines._describe("cpu")
    with monkeypatch.context() as patch:
        patch.setattr(machines, "_describe", lambda device: described | changes)
        machines.record(store)
    machines.record.cache_clear()


def test_machines_of_one_kind_are_one_record_without_differences(monkeypatch, capsys):
    record_with(monkeypatch)
    record_with(monkeypatch)
    assert len(list(Path("features/.machines").iterdir())) == 1
    machines.print_differences(STORE)
    assert capsys.readouterr() == ("", "")


def test_other_libraries_are_said_and_other_processors_with_the_same_code_are_not(monkeypatch, capsys):
    record_with(monkeypatch, torch="2.13.0")
    record_with(monkeypatch, torch="2.12.1", processor="another")
    record_with(monkeypatch, store=Path("features/motion_embeddings"), numpy="1")
    assert machines.differences(STORE) == ["torch: 2.12.1, 2.13.0"]
    machines.print_differences(STORE)
    assert capsys.readouterr().err == (
        "note: features/motion was computed on machines that differ in torch: 2.12.1, 2.13.0.\n"
        "Values may differ in the last bits: docs/scale.md, Machines that differ.\n"
    )


def test_forgotten_records_are_those_of_one_store(monkeypatch):
    record_with(monkeypatch)
    record_with(monkeypatch, store=Path("features/motion_embeddings"))
    machines.forget(STORE)
    assert [path.name.rpartition("-")[0] for path in Path("features/.machines").iterdir()] == ["motion_embeddings"]
