"""Fusion of the two streams: pairs, linear probes, MLP heads, mixtures of methods, and checks of the data.

May import: motion, encoders, data and what they may import.
"""
