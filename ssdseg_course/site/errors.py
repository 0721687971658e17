"""What stands in the way of the site."""


class SiteError(Exception):
    """The site cannot be built; the message is one sentence that names the file and the remedy."""
