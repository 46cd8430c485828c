"""Supervision of Trio actors: restarts, drain, and what each actor is doing. Imports nothing of the platform."""
