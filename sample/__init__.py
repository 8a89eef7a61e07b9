"""The embedded sample: rendered clips, and a small CLIP that is trained on rendered images."""

import mocliplite  # noqa: F401  (sets environment variables that torch reads when it is imported)
