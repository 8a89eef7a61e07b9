"""The one option that stages with a store of their own work take."""

import argparse


def retry_failed(stage: str) -> bool:
    """Whether --retry-failed was given; prints the usage and leaves with status 2 for anything else."""
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}")
    parser.add_argument("--retry-failed", action="store_true", help="try every clip again that failed, for any reason")
    return bool(parser.parse_args().retry_failed)
