"""Text that comes from outside - names, notebooks, errors, what a sandbox says - made fit to be stored and shown."""

UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # invisible, but part of Persian and Sinhala names
LONGEST_NAME = 80
LONGEST_SENTENCE = 600
LONGEST_TEXT = 20_000


def shown(value: object, most: int = LONGEST_NAME) -> str:
    """Whatever came from outside, as one line that a terminal, a table, a page and a database can take.

    Escape sequences and other control letters, marks that turn the direction of writing, halves of letters
    (surrogates) and what Unicode does not know are replaced. Of a text no more than `most` letters are looked at.

    Args:
        value: a text, a path, an error, or anything that json can hold.
        most: characters; what is longer ends in "…".
    """
    return " ".join(_printable(_as_text(value, most), "").split())


def shown_lines(value: object, most: int = LONGEST_TEXT) -> str:
    """The same for a text of several lines, whose spaces count."""
    return _printable(_as_text(value, most), "\n\t")


def _as_text(value: object, most: int) -> str:
    if not isinstance(value, str):
        try:
            value = str(value)
        except Exception:  # a number of thousands of digits, a list of itself, an error that has no text
            value = f"<{type(value).__name__}>"
    return value if len(value) <= most else value[: most - 1] + "…"


def _printable(text: str, kept: str) -> str:
    return "".join(_letter(letter, kept) for letter in text)


def _letter(letter: str, kept: str) -> str:
    if letter.isprintable() or letter in kept or letter in JOINERS:
        return letter
    return " " if letter.isspace() else UNPRINTABLE
