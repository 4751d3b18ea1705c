"""Measurements of the published claims of encoders, one file per encoder:

BAR                            the claims in words, as the table shows them
SEEDS                          where other than 0, 1, 2
run(seed, data, budget)        one run's figures by name; data: folder of corpora; budget: "small" or "published"
reached(figures)               each claim, and whether the figures' means [name -> values of all seeds] bear it out
"""
