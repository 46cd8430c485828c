"""What actors and pipelines speak: what is handed on (frames, jobs, letters, objects) and the ports of what carries it.

No driver is imported here, nor in gcc/actors: gcc/stores implements the ports. `memory` and `batch` need nothing else.
"""
