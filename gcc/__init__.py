"""gcc: an open influencer-marketing data platform, as one tree of Trio actors."""

__version__ = "0.1.0"
