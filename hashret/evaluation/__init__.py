"""Evaluation of rankings by Hamming distance, with exact treatment of ties.

`evaluate.py` has the main functions. `measures.py` has one class per measure, `ties.py` the counts they are computed
from, `sums.py` lookup tables, `labels.py` relevance, and `trec.py` the file formats of other programs. `quantize.py`
measures the ways to make vectors small that `compression.py` has.
"""
