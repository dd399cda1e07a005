"""Where the tests' files are, wherever the test that needs them is."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
IMAGES = DATA / "images"
GOLDEN = DATA / "golden"
