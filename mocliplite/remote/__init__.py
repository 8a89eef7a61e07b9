"""Files below dataset.root where it is an address, such as s3://bucket/clips: their list, and local copies of them.

May import: the ground floor (errors, params, files, checkpoint) and evaluation.
"""
