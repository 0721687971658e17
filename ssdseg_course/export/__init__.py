"""Networks in the formats of phones and browsers: converted, run, packed into a folder, looked into."""
