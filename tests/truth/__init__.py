"""The marts against plain Python: what the world's /truth says, and what the rules of the models make of it.

`given` is a perfect crawl of /truth as events, `rules` computes each mart without SQL or anything of the models,
`compare` counts what is equal, and how well detectors find what the world has planted: `python -m tests.truth`.
"""
