"""Kept results of the flat suites as Markdown, for docs/performance.md; the others have a `page.py` of their own."""
