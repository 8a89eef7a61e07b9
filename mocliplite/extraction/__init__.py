"""From clips to feature stores: one module per store, with the function that workers call for its shards.

May import: motion_net, motion, encoders, data and below.
"""
