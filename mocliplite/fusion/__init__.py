"""Features of both streams: pairs, linear probes, MLP heads, how methods are mixed, and what looks wrong in the data.

May import: motion, encoders, data and what they may import.
"""
