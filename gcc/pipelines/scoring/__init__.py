"""Fake followers: a follower is scored by its names and by its account, with the reasons kept."""
