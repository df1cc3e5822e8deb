"""Guesses from a column's name that it holds a secret or personal data. Guesses: people decide."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

Suspicion = Literal["secret", "personal"]

_SECRETS = frozenset(
    {"password", "passwd", "pwd", "passphrase", "passcode", "secret", "token", "apikey", "credential", "credentials"}
    | {"privatekey", "ssn", "cvv", "cvc", "pin", "otp", "totp", "salt", "iban", "pan", "sessionid", "cookie"}
)
_PERSONAL = frozenset(
    {"email", "mail", "phone", "mobile", "telephone", "fax", "firstname", "lastname", "surname", "fullname", "birthday"}
    | {"birthdate", "dob", "birth", "address", "street", "zip", "zipcode", "postcode", "passport", "gender", "salary"}
    | {"nationality", "religion", "ethnicity", "diagnosis", "ip", "latitude", "longitude", "taxid", "income"}
)
_PAIRS: dict[tuple[str, str], Suspicion] = {
    ("api", "key"): "secret",
    ("private", "key"): "secret",
    ("access", "key"): "secret",
    ("signing", "key"): "secret",
    ("encryption", "key"): "secret",
    ("session", "id"): "secret",
    ("password", "hash"): "secret",
    ("card", "number"): "secret",
    ("account", "number"): "secret",
    ("social", "security"): "secret",
    ("payment", "method"): "secret",
    ("first", "name"): "personal",
    ("last", "name"): "personal",
    ("full", "name"): "personal",
    ("birth", "date"): "personal",
    ("tax", "id"): "personal",
    ("national", "id"): "personal",
}


def suspect(column: str) -> Suspicion | None:
    """Return what the name of a column suggests that it holds, None when nothing."""
    words = tuple(re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", column).lower().replace("-", "_").split("_"))
    pairs = [_PAIRS.get(pair) for pair in pairwise(words)]
    if "secret" in pairs or _SECRETS.intersection(words):
        return "secret"
    if "personal" in pairs or _PERSONAL.intersection(words):
        return "personal"
    return None
