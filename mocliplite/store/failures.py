"""When failed clips end a stage."""

from collections.abc import Mapping

from mocliplite.errors import Failure, UserError

_MAX_LISTED = 10  # failed clips named in the error


def check_failed(failed: Mapping[str, object], total: int, max_failed: float, stage: str) -> None:
    """Raise UserError with a list of clips, `id: reason`, if more than the fraction max_failed of the total failed."""
    if total and len(failed) / total > max_failed:
        limit = f"more than the fraction {max_failed:g} that dataset.max_failed allows"
        head = f"{stage}: {len(failed)} of {total} clips failed, {limit}; fix or remove them, or raise the limit:"
        raise UserError("\n".join([head, *_listed(failed)]))


def check_transient(failed: Mapping[str, Failure], total: int, stage: str) -> None:
    """Raise UserError with a list of the clips, `id: reason`, that failed for a transient reason.

    Without them the store is not the result of these clips and settings, so the stage must not succeed.
    """
    transient = {clip_id: failure for clip_id, failure in failed.items() if failure.transient}
    if transient:
        head = (
            f"{stage}: {len(transient)} of {total} clips were not read because the machine failed; all others are kept."
        )
        raise UserError("\n".join([f"{head} Run `dvc repro` again to try only these:", *_listed(transient)]))


def _listed(failed: Mapping[str, object]) -> list[str]:
    rows = [f"  {clip_id}: {reason}" for clip_id, reason in sorted(failed.items())]
    return [*rows[:_MAX_LISTED], *([f"  and {len(rows) - _MAX_LISTED} more"] if len(rows) > _MAX_LISTED else [])]
