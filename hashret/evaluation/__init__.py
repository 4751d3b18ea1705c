"""Evaluation: how good a ranking by Hamming distance is, with what its ties leave open.

`evaluate.py` is the way in; `measures.py` holds a formula a class, `ties.py` what they are computed from, `sums.py`
the tables they look up, `labels.py` what counts as relevant, and `trec.py` the files of other programs.
"""
