"""Texts that look like others: several scripts in one word, letters of one that are drawn like another's."""

from __future__ import annotations

import re
import unicodedata

_TOGETHER = (
    frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}),
    frozenset({"CJK", "HANGUL"}),
    frozenset({"CJK", "BOPOMOFO"}),
)
"""Scripts that are written together."""
_LIKE_LATIN = frozenset(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0455\u0456\u0458\u0501\u051b\u051d\u04cf"
    "\u04bb\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408"
    "\u03b1\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f"
    "\u03a1\u03a4\u03a5\u03a7\u0570\u0578\u057d\u0585"
)
"""Letters of Cyrillic, Greek and Armenian that are drawn like Latin ones."""
_WORD = re.compile(r"\w+")
INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Categories of characters that are not seen, or turn what is."""


def deceptive(text: str) -> bool:
    """Return whether a word of a text mixes scripts, or could be read as Latin; or something in it is not seen."""
    if text.isascii():
        return not text.isprintable()
    return invisible(text) or any(_is_mixed(word) for word in _WORD.findall(text))


def invisible(text: str, allowed: str = "") -> bool:
    """Return whether a text has characters that are not seen: controls, joiners, marks of direction, half of pairs."""
    return any(unicodedata.category(each) in INVISIBLE and each not in allowed for each in text)


def _is_mixed(word: str) -> bool:
    letters = [each for each in word if each.isalpha()]
    scripts = {_script(each) for each in letters}
    if len(scripts) > 1 and not any(scripts <= each for each in _TOGETHER):
        return True
    return bool(letters) and all(each in _LIKE_LATIN for each in letters)


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split(" ", 1)[0]
