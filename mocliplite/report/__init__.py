"""The report page, its charts, and pictures of clips.

May import: predict and what it may import.
"""
