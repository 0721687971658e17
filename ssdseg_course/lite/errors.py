"""What stands in the way of the page."""


class LiteError(Exception):
    """The page cannot be built; the message is one sentence that names the file and the remedy."""
