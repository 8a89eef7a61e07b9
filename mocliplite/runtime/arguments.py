"""The command-line option of the stages that extract features."""

import argparse
import os

# `dvc repro` passes no options to a stage, but it passes environment variables.
RETRY = "MOCLIPLITE_RETRY_FAILED"


def retry_failed(stage: str) -> bool:
    """Return whether --retry-failed was given, or the environment variable MOCLIPLITE_RETRY_FAILED is 1.

    Any other argument prints the usage and exits with status 2.
    """
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}")
    parser.add_argument("--retry-failed", action="store_true", help="try all failed clips again, whatever the reason")
    return bool(parser.parse_args().retry_failed) or os.environ.get(RETRY) == "1"
