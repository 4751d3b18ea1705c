"""A process of `Local`: reads the numbers of shards from standard input, and answers each with a line of JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

from hashret.errors import HashretError
from hashret.shards import Job


def main() -> None:
    """Encode shards of the job whose folder is the last argument, until standard input ends."""
    logging.getLogger("hashret").setLevel(logging.ERROR)  # the first reading of the source has reported its problems
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is not an answer
    job = Job(Path(sys.argv[-1]))
    for line in sys.stdin:
        answers.write(json.dumps(_answer(job, int(line))).encode() + b"\n")
        answers.flush()


def _answer(job: Job, number: int) -> dict[str, str]:
    attempt = job.attempt(number)
    try:
        job.encode(number, attempt)
        job.commit(number, attempt)
    except HashretError as error:
        return {"error": type(error).__name__, "message": str(error)}
    except OSError as error:
        return {"error": "StoreError", "message": f"a shard cannot be encoded: {error.strerror or error}"}
    return {"done": str(number)}
