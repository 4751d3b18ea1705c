"""Addresses of indexes in an engine: what is allowed, and that no message repeats a password."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import hashret
from hashret.address import Address, is_address
from hashret.cli.app import app, defaults
from hashret.errors import HashretError, UsageError

SECRET = "s3cr3t-w0rd"
MALFORMED = [
    f"postgres1://ada:{SECRET}@host/db/letters",
    f"postgresql:/ada:{SECRET}@host/db/letters",
    f"postgresql:ada:{SECRET}@host/db/letters",
    f"postgresql://ada:{SECRET}@host/letters",
    f"postgresql://ada:{SECRET}@host/db/a/letters",
    f"postgresql://ada:x/{SECRET}@host/db/letters",
    f"postgresql://ada:1/{SECRET}@host/db/letters",
    f"postgresql://ada:x?{SECRET}@host/db/letters",
    f"postgresql://ada:x#{SECRET}@host/db/letters",
    f"postgresql://ada@host:{SECRET}/db/letters",
    f"postgresql://[{SECRET}/db/letters",
    f"postgresql://host/db/letters?access_token={SECRET}",
    f"postgresql://host/db/letters?password={SECRET}",
    f"postgresql://host/db/letters?timeout={SECRET}",
    f"postgresql://host/db/letters?index={SECRET}",
    f"postgresql://host/db/{SECRET}",
    "postgresql://host/db/" + "x" * 41,
    "postgresql://host/db/letters?timeout=0",
    "postgresql://host/db/letters?timeout=nan",
    "postgresql://host/db/letters?timeout=1e9",
    f"milvus://ada:{SECRET}@/letters",
    f"milvus://ada:{SECRET}@host/",
    f"milvus://host/{SECRET}/letters",
    f"milvus://host/letters?token={SECRET}",
    f"milvus://host/letters?secure={SECRET}",
    f"https://ada:{SECRET}@host/letters",
    f"MILVUS:{SECRET}",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_address_is_refused_and_not_repeated(text: str) -> None:
    assert is_address(text)
    for use in (
        lambda: hashret.Index.open(text),
        lambda: hashret.Index.create(text, ["a text"]),
        lambda: hashret.verify(text),
    ):
        with pytest.raises(UsageError) as caught:
            use()
        shown: BaseException | None = caught.value
        while shown is not None:
            assert SECRET not in str(shown)
            shown = None if shown.__suppress_context__ else shown.__context__


def test_the_parts_of_an_address() -> None:
    address = Address.parse(
        f"postgresql://ada%40home:{SECRET}%2F@db.example:5433/texts/letters?timeout=5&sslmode=require"
    )
    assert (address.engine, address.host, address.port, address.database) == ("postgresql", "db.example", 5433, "texts")
    assert (address.user, address.password, address.name) == ("ada@home", f"{SECRET}/", "letters")
    assert address.timeout == 5
    assert not address.approximate
    assert str(address) == "postgresql://db.example:5433/texts/letters"
    assert SECRET not in repr(address)


def test_the_scheme_may_be_written_in_two_ways() -> None:
    assert Address.parse("postgres://h/d/t") == Address.parse("POSTGRESQL://h/d/t")


def test_an_approximate_index_is_asked_for_by_its_name() -> None:
    assert Address.parse("postgresql://h/d/t?index=hnsw").approximate
    assert Address.parse("milvus://h/t?index=ivf").approximate
    for text in ("postgresql://h/d/t?index=ivf", "milvus://h/t?index=hnsw"):
        with pytest.raises(UsageError, match="the option index of the address must be flat or"):
            Address.parse(text)


@pytest.mark.parametrize("path", ["indexes/mine", "mine", "C:\\indexes", "a:b", "notes/postgresql:x", Path("x")])
def test_paths_are_no_addresses(path: str | Path) -> None:
    assert not is_address(path)


def test_an_address_as_a_path_object_is_not_taken_for_a_folder() -> None:
    with pytest.raises(HashretError, match="must begin with"):
        hashret.Index.open(Path(f"postgresql://ada:{SECRET}@host/db/letters"))


COMMANDS = [["info"], ["query", "wheat"], ["delete", "a"], ["show", "a"], ["verify"], ["repair"], ["compact"], ["pull"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
def test_commands_do_not_repeat_a_malformed_address(command: list[str], debug: list[str]) -> None:
    for text in MALFORMED[:8]:
        given = [text] if command == ["pull"] else ["-i", text]
        result = CliRunner().invoke(app, [*command, *given, *debug])
        assert result.exit_code == 2
        assert SECRET not in result.output


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
def test_a_server_that_is_not_there(debug: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres")
    monkeypatch.setattr("hashret.backends.base.FIRST_WAIT", 0.01)
    text = f"postgresql://ada:{SECRET}@127.0.0.1:1/texts/letters"
    result = CliRunner().invoke(app, ["query", "wheat", "-i", text, *debug])
    assert result.exit_code == 1
    assert "index postgresql://127.0.0.1:1/texts/letters cannot be reached, after 4 attempts" in result.stderr
    assert SECRET not in result.output


def test_a_configuration_file_cannot_name_an_address(tmp_path: Path) -> None:
    for lines in ('index = "{}"', '[query]\nindex = "{}"'):
        (tmp_path / "hashret.toml").write_text(lines.format(f"postgresql://ada:{SECRET}@host/db/letters"))
        with pytest.raises(UsageError, match="cannot name an address as index") as caught:
            defaults(tmp_path / "hashret.toml")
        assert SECRET not in str(caught.value)
