"""Where things are in the checkout."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HELPERS = Path(__file__).parent
SAMPLES = HELPERS / "samples"
"""One folder a recorded answer: its status and headers, and its body; the people are invented."""

PAGES = [ROOT / "README.md", *sorted((*DOCS.glob("*.md"), *DOCS.glob("[a-z]*/*.md")))]
"""All pages; a folder with an underscore holds what was built from them."""
