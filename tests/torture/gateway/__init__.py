"""Real kills under two gateways that people ask: nothing written is lost or done twice, and nobody is let in."""
