"""The command line: python -m mocliplite COMMAND.

Exit status: 0 success, 1 the run failed, 2 a bad argument or file.
"""

import io
import sys

from mocliplite.errors import run


def cli() -> None:
    """Run the command line: the entry point of `mocliplite` and of `python -m mocliplite`."""

    # Imported inside main, so that an interrupt during the import is reported in one line too.
    def main() -> None:
        from mocliplite.cli import _main

        _main.main()

    for stream in (sys.stdout, sys.stderr):
        # A file's name may be no text; under some locales even letters are none.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    run(main, status=2)


if __name__ == "__main__":
    cli()
