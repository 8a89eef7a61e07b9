"""Motion networks: sampling of fields, augmentation, training, embedding.

May import: motion, encoders, data and the layers below them.
"""
