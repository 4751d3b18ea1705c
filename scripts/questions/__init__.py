"""What bench_questions.py measures: each module is one or two parts, and each part yields rows of measures."""
