"""Evaluation of classifiers: metrics, intervals over groups, calibration, the table of methods, means over splits.

Needs only numpy and scipy. May import: the ground floor (errors, params, files, checkpoint).
"""
