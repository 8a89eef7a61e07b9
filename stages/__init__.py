"""One module a stage of dvc.yaml: reads parameters and files, calls mocliplite, writes files."""

import mocliplite  # noqa: F401  (its settings for torch come before the stage's import of torch)
