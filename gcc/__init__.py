"""gcc: an open influencer-marketing data platform, as one tree of Trio actors."""

from gcc import interrupt

__version__ = "0.1.0"
interrupt.while_importing()
