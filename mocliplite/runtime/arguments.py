"""The command-line option of the stages that extract features."""

import argparse


def retry_failed(stage: str) -> bool:
    """Return whether --retry-failed was given. Any other argument prints the usage and exits with status 2."""
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}")
    parser.add_argument("--retry-failed", action="store_true", help="try all failed clips again, whatever the reason")
    return bool(parser.parse_args().retry_failed)
