"""Frozen image and text encoders. The only room that imports transformers.

May import: store, video, remote, runtime, evaluation and the ground floor.
"""
