"""Reproductions of published results, one module per encoder:

BAR                            description of the experiment, for docs/encoders.md
TRIED                          optional notes, for example about a claim that was not reached
SEEDS                          optional, (0, 1, 2) by default
run(seed, data, budget)        figures of one run by name; data: folder of corpora; budget: "small" or "published"
restarts(seed, data, budget)   optional: further figures, of fits from several starts (`n_init`)
agreeing(seed, data, budget)   optional: further figures, of semantic-hashing with agreeing bits
Starts(data)                   optional, for bench_restarts.py: encoder, schedule, features and measure of fits
reached(figures)               whether each claim holds, by its text; figures: values of all seeds by name
"""
