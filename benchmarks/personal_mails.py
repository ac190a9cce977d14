"""Mails with personal data in the forms that people write, and mails with numbers that are none."""

import random
import string
from collections.abc import Callable

import phonenumbers

# Country → how its people write a number, `#` a digit, and whether it has a country code; by type of line.
PHONES = {
    "US": ("(###) ###-####", "###-###-####", "###.###.####", "+1 ### ### ####", "+1-###-###-####", "##########"),
    "GB": ("020 #### ####", "0161 ### ####", "07### ######", "+44 20 #### ####", "+44 7### ######", "07#########"),
    "DE": ("030 #######", "0171 #######", "0171/#######", "0171-#######", "+49 171 #######", "+49 30 #######"),
    "FR": ("06 ## ## ## ##", "06.##.##.##.##", "01 ## ## ## ##", "+33 6 ## ## ## ##", "06########"),
    "IN": ("98### #####", "+91 98### #####", "+91-98########", "098########"),
}
_IBANS = {"DE": "18d", "GB": "4a14d", "FR": "23d", "NL": "4a10d", "ES": "20d", "AT": "16d", "CH": "17d"}
_CARDS = (("4", 16), ("51", 16), ("37", 15), ("6011", 16))
_FIRST = ("anna", "ben", "carla", "david", "eva", "felix", "greta", "hugo", "ines", "jan")
_LAST = ("berg", "costa", "dupont", "evans", "fischer", "garcia", "hansen", "ito", "jones", "kumar")
_HOSTS = ("gmail.com", "web.de", "mail.co.uk", "firma-nord.example.com", "uni.edu", "posteo.net", "orange.fr")
_FRAMES = {
    "mail address": (
        "Please write to {}.",
        "My address is {}, thanks.",
        "{}",
        "Contact me ({}) for details.",
        "cc: {};",
    ),
    "phone": (
        "Call me on {}.",
        "My number is {}, thanks.",
        "Tel. {}",
        "You can reach me at {} after 5 pm.",
        "Phone: {}",
    ),
    "IBAN": ("My IBAN is {}.", "Send it to {}, please.", "IBAN: {}", "Account {} was charged twice."),
    "card": (
        "My card {} is lost.",
        "Card number: {}",
        "It was paid with {}.",
        "I see {} on the bill, please block it.",
    ),
}
_BODIES = (
    "The parcel has not arrived yet.",
    "I was charged twice for order 48213 on 12/05/2024.",
    "Could you cancel my subscription from 1 June?",
    "Since the update to version 4.2.1 I cannot log in.",
    "The transfer of 1,250.00 EUR is still pending.",
    "How do I change the delivery address?",
)
_HARMLESS: tuple[tuple[str, str], ...] = (
    ("Order {} is late.", "##########"),
    ("Invoice {} is wrong.", "2024-######"),
    ("Parcel {} was lost.", "1Z#########"),
    ("The meeting is on {}.", "2024-11-2# 1#:3#"),
    ("It was paid on {}.", "1#.0#.2024"),
    ("You charged {} EUR.", "#.###,##"),
    ("Serial number {} does not start.", "SN#######-##"),
    ("The book is ISBN {}.", "978-#-##-######-#"),
    ("Error {} at start.", "0x####7F##"),
    ("Part {} is missing.", "##-####-##"),
    ("The server is {}.", "10.#.##.1##"),
    ("Ticket #{} is open.", "########"),
    ("Version {} crashes.", "#.##.####"),
    ("Our customer number is {}.", "########"),
    ("Flight {} was late.", "LH####"),
)


def mails(count: int, seed: int) -> list[tuple[str, list[tuple[str, int, int]]]]:
    """Mails, each with one or two pieces of personal data: kind, start and end of each."""
    generator = random.Random(seed)
    kinds: dict[str, Callable[[random.Random], str]] = {"mail address": _mail, "IBAN": _iban, "card": _card}
    kinds |= {f"phone {country}": lambda own, country=country: _phone(own, country) for country in PHONES}  # type: ignore
    found = []
    for number in range(count):
        text, pieces = "", []
        for kind in generator.sample(list(kinds), 1 + number % 2):
            frame = generator.choice(_FRAMES[kind.split(" ")[0] if kind.startswith("phone") else kind])
            value = kinds[kind](generator)
            text += generator.choice(_BODIES) + generator.choice((" ", "\n"))
            pieces.append((kind, start := len(text) + frame.index("{"), start + len(value)))
            text += frame.format(value) + " "
        found.append((text.strip(), pieces))
    return found


def harmless_mails(count: int, seed: int) -> list[str]:
    """Mails with numbers that are not personal data."""
    generator = random.Random(seed)
    chosen = (generator.choice(_HARMLESS) for _ in range(count))
    return [f"{generator.choice(_BODIES)} {frame.format(_digits(form, generator))}" for frame, form in chosen]


def _digits(form: str, generator: random.Random) -> str:
    return "".join(generator.choice(string.digits) if one == "#" else one for one in form)


def _mail(generator: random.Random) -> str:
    first, last = generator.choice(_FIRST), generator.choice(_LAST)
    form = generator.choice(("{0}.{1}", "{0}_{1}", "{1}{2}", "{0}+shop", "{0}-{1}.{2}"))
    name = form.format(first, last, generator.randrange(1, 99))
    return f"{name.title() if generator.random() < 0.2 else name}@{generator.choice(_HOSTS)}"


def _phone(generator: random.Random, country: str) -> str:
    while True:
        number = _digits(generator.choice(PHONES[country]), generator)
        if phonenumbers.is_valid_number(phonenumbers.parse(number, country)):
            return number


def _iban(generator: random.Random) -> str:
    country, form = generator.choice(list(_IBANS.items()))
    letters = "".join(generator.choice(string.ascii_uppercase) for _ in range(4 if "a" in form else 0))
    own = letters + _digits("#" * int(form.split("a")[-1].rstrip("d")), generator)
    number = int("".join(str(int(one, 36)) for one in f"{own}{country}00"))
    whole = f"{country}{98 - number % 97:02d}{own}"
    spaced = " ".join(whole[start : start + 4] for start in range(0, len(whole), 4))
    return generator.choice((whole, spaced, spaced, whole.lower()))


def _card(generator: random.Random) -> str:
    prefix, length = generator.choice(_CARDS)
    digits = _digits(prefix + "#" * (length - len(prefix) - 1), generator)
    doubled = (int(one) * (2 if place % 2 == 0 else 1) for place, one in enumerate(reversed(digits)))
    digits += str(-sum(value - 9 if value > 9 else value for value in doubled) % 10)
    parts = (4, 10, 15) if length == 15 else (4, 8, 12, 16)
    groups = [digits[start:end] for start, end in zip((0, *parts), parts, strict=False)]
    return generator.choice(("", " ", " ", "-")).join(groups)
