"""The limit on failed clips."""

from collections.abc import Mapping

from mocliplite.errors import UserError

_SHOWN = 10  # failed clips named in an error


def check_failed(failed: Mapping[str, object], total: int, max_failed: float, what: str) -> None:
    """Raise UserError with a table of clips, `id: reason`, where more than the share max_failed of total failed."""
    if total and len(failed) / total > max_failed:
        rows = [f"  {id_}: {reason}" for id_, reason in sorted(failed.items())]
        rest = [f"  and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
        allowed = f"dataset.max_failed allows {max_failed:g} of them"
        head = f"{what}: {len(failed)} of {total} clips failed and {allowed}; mend or remove them, or raise it:"
        raise UserError("\n".join([head, *rows[:_SHOWN], *rest]))
