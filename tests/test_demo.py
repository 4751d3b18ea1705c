"""The demo uses data that every installation has."""

from __future__ import annotations

from hashret.demo import digits, python_documents


def test_python_documents_are_thousands_of_texts_with_ids_of_their_own() -> None:
    documents = list(python_documents())
    assert len(documents) > 4000
    assert len({document.id for document in documents}) == len(documents)
    by_id = {document.id: document for document in documents}
    assert "Compress" in str(by_id["gzip.compress"].content)
    assert by_id["gzip.compress"].labels == ("gzip",)
    assert by_id["topics/with"].labels == ("topics",)


def test_digits_are_labelled_images() -> None:
    images = digits()
    assert len(images) == 1797
    assert all(image.kind == "image" for image in images)
    assert {image.labels[0] for image in images} == set("0123456789")
