"""The limit on failed clips."""

from collections.abc import Mapping

from mocliplite.errors import UserError

_MAX_LISTED = 10  # failed clips named in the error


def check_failed(failed: Mapping[str, object], total: int, max_failed: float, stage: str) -> None:
    """Raise UserError with a list of clips, `id: reason`, if more than the fraction max_failed of the total failed."""
    if total and len(failed) / total > max_failed:
        rows = [f"  {clip_id}: {reason}" for clip_id, reason in sorted(failed.items())]
        rest = [f"  and {len(rows) - _MAX_LISTED} more"] if len(rows) > _MAX_LISTED else []
        limit = f"more than the fraction {max_failed:g} that dataset.max_failed allows"
        head = f"{stage}: {len(failed)} of {total} clips failed, {limit}; fix or remove them, or raise the limit:"
        raise UserError("\n".join([head, *rows[:_MAX_LISTED], *rest]))
