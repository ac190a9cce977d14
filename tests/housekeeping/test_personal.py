import socket

import pytest

from fewshot.errors import ConfigError
from fewshot.housekeeping import find_personal_data, mask_personal_data, personal

pytest.importorskip("presidio_analyzer")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Mail a.b-c+d@mail.co.uk, please.", "Mail <EMAIL>, please."),
        ("x@firma.local", "<EMAIL>"),
        ("call +49 30 1234567 now", "call <PHONE> now"),
        ("(212) 555-0134 or 06 12 34 56 78", "<PHONE> or <PHONE>"),
        ("call 2125550134", "call <PHONE>"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN <IBAN>."),
        ("iban gb29nwbk60161331926819", "iban <IBAN>"),
        ("card 4111-1111-1111-1111", "card <CARD>"),
        ("my ssn is 219-09-9999", "my ssn is <ID>"),
        ("Ärger über 4111 1111 1111 1111, größer", "Ärger über <CARD>, größer"),
        ("<EMAIL> and <PHONE>", "<EMAIL> and <PHONE>"),
    ],
)
def test_what_is_masked(text, masked):
    assert mask_personal_data([text])[0] == [masked]
    assert mask_personal_data([masked])[0] == [masked]


@pytest.mark.parametrize(
    "text",
    [
        "my card 4111 1111 1111 1112 does not add up",
        "DE89 3704 0044 0532 0130 01 is no IBAN",
        "invoice 2023-000123 of 2024-05-12 13:30",
        "order 1234567890, 1.234.567,89 EUR",
        "meet @ 5 pm, @someone, a@b",
        "version 10.2.33 of 12/11/2024",
    ],
)
def test_what_is_left_alone(text):
    assert find_personal_data(text) == []


def test_counts_are_of_pieces():
    texts = ["a@b.com c@d.org", "nothing", "+49 30 1234567"]
    assert mask_personal_data(texts)[1] == {"EMAIL": 2, "PHONE": 1}


def test_nothing_comes_from_the_network(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asked for an address"))
    assert mask_personal_data(["a@b.com, card 4111 1111 1111 1111"])[0] == ["<EMAIL>, card <CARD>"]


def test_without_presidio_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setattr(personal, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'fewshot-text\[check\]'"):
        mask_personal_data(["My card is lost"])
