"""Builds the page in which lessons 0 to 3 run in the browser's own Python: JupyterLite, lessons, the course itself."""
