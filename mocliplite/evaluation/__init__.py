"""How answers are judged: metrics, intervals over groups, calibration, the table of methods, means over splits.

Needs numpy and scipy alone. May import: the ground floor (errors, params, files, checkpoint).
"""
