"""The embedded example: clips that are rendered and a tiny CLIP that is trained, both from nothing."""

import mocliplite  # noqa: F401  (its settings for torch come before the import of torch)
