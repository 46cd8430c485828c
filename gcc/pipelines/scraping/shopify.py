"""The flows of Shopify."""

from collections.abc import Sequence

from gcc.pipelines.scraping.flow import Flow

SHOPIFY = "SHOPIFY"
"""A platform of shops, not of profiles."""
FLOWS: Sequence[Flow] = ()
