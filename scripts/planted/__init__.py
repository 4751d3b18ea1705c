"""Parts of `bench_duplicates.py`: duplicates that are planted among documents, and who finds them."""
