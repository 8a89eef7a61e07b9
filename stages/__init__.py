"""The stages of dvc.yaml, one module each: read parameters and files, call mocliplite, write files."""

import mocliplite  # noqa: F401  (sets environment variables that torch reads when it is imported)
