"""``wire_email`` and ``email_key``: which texts are an address, and when two are the same."""

import pytest

from instantly_async._api import BLANK, email_key, wire_email


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada@Example.COM", "Ada@Example.COM"),
        ("  ada@example.com\t", "ada@example.com"),
        (f"{BLANK}ada@example.com{BLANK}", "ada@example.com"),
        ("Ada Lovelace <ada@example.com>", "ada@example.com"),
        ('"Lovelace, Ada" < ada@example.com >', "ada@example.com"),
        ("<ada@example.com>", "ada@example.com"),
        ("'Ada@example.com' <ada@example.com>", "ada@example.com"),
        ("Ada @ Acme <ada@example.com>", "ada@example.com"),
        ("mailto:ada@example.com", "ada@example.com"),
        ("MAILTO:ada@example.com", "ada@example.com"),
        ("o'brien+crm@sub.example.co.uk", "o'brien+crm@sub.example.co.uk"),
        ("jürgen@exämple.test", "jürgen@exämple.test"),
        ("a@localhost", "a@localhost"),
        ("a" * 64 + "@" + "b" * 255, "a" * 64 + "@" + "b" * 255),
    ],
)
def test_an_address_is_found_in_its_text(text: str, address: str) -> None:
    assert wire_email(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "ada",
        "@example.com",
        "ada@",
        "ada@@example.com",
        "a@b@c",
        "ada@example.com, bob@example.com",
        "ada@example.com;bob@example.com",
        "ada@example.com bob@example.com",
        "Ada <ada@example.com> <bob@example.com>",
        "ada@example.com, <bob@example.com>",
        "ada@example.com <bob@example.com>",
        "ada @example.com",
        "ada@exam\0ple.com",
        "ada@exam\u200bple.com",
        "ada@\ud800",
        "019a3f62-5400-7abc-8def-0123456789ab",
        "a" * 66 + "@" + "b" * 255,
        "<" * 10_000 + "@",
        None,
        7,
        b"ada@example.com",
    ],
)
def test_other_texts_are_none(text: object) -> None:
    """Each would be a contact that the API cannot have, or could reject for a whole chunk."""
    assert wire_email(text) is None


def test_case_does_not_count() -> None:
    assert email_key("Ada@Example.com ") == email_key("ADA@EXAMPLE.COM") == "ada@example.com"
    assert email_key("ada@example.com") != email_key("ada@example.org")
