"""Where work runs: engines that map over shards, calls that survive a crash, progress bars, the torch device.

May import: the ground floor (errors, params, files, checkpoint) and evaluation.
"""
