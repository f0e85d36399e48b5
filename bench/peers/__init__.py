"""The comparative benchmark: Keystead, the floor under it, and what people would pick instead, asked the same things.

python -m bench.peers makes the table; docs/speed.md says how everybody was set up. Nothing of this is served or shipped.
"""
