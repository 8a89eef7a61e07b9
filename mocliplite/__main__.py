"""The command line: python -m mocliplite COMMAND.

Exit status: 0 success, 1 the run failed, 2 a bad argument or file.
"""

from mocliplite.errors import run


def cli() -> None:
    """Run the command line: the entry point of `mocliplite` and of `python -m mocliplite`."""

    # Imported inside main, so that an interrupt during the import is reported in one line too.
    def main() -> None:
        from mocliplite.cli import _main

        _main.main()

    run(main, status=2)


if __name__ == "__main__":
    cli()
