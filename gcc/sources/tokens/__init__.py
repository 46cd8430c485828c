"""The places where tokens are renewed, as one source: each kind of credential has its own address and words."""
