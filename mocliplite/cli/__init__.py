"""The command line: one module per command, found by `_main`. Modules with an underscore are not commands.

May import: everything in this package.
"""
