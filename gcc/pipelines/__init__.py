"""What flows: one folder a pipeline, all of them listed in listed.py.

Nothing is imported here: the processes that score need one folder, and none of the platform.
"""
