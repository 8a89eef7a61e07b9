"""Classify new clips with the trained models, or with CLIP alone.

May import: fusion, motion_net and what they may import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"recognizer": ["Prediction", "Recognizer"]})
