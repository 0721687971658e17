"""Numbers and long texts, as a sentence has them."""

import textwrap


def cut(text: str, length: int) -> str:
    """The text, shortened where it is longer than that."""
    return text if len(text) <= length else text[: length - 1] + "…"


def count(number: int, one: str, many: str | None = None) -> str:
    """The number with its noun, "1 answer" or "2 answers"; "" for none.

    Args:
        number: of things.
        one: the noun for one of them.
        many: for several, where that is not `one` with an s.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}" if number else ""


def filled(text: str, width: int = 110) -> str:
    """Paragraphs, between which an empty line stands, in lines of at most so many letters."""
    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    return "\n\n".join(textwrap.fill(one, width, break_long_words=False, break_on_hyphens=False) for one in paragraphs)
