"""Classifies an image over HTTP.

python http_client.py IMAGE [SERVICE]    IMAGE: a file or an http(s) URL
"""

import sys
from pathlib import Path

from worker.client import JobRefused, SyncHttpClient


def main(image: str, service: str = "http://localhost:8080") -> None:
    """Print the categories and save the picture as classified.jpg."""
    # Where the worker asks for a token: SyncHttpClient(service, token=...).
    with SyncHttpClient(service) as client:
        try:
            result = client.classify(image, top_k=5, visualize=True)
        except JobRefused as error:
            sys.exit(f"{error.code}: {error.message}")
    for category in result.categories:
        print(f"{category.score:.5f}  {category.name}")
    if result.image is not None:
        Path("classified.jpg").write_bytes(result.image)


if __name__ == "__main__":
    main(*sys.argv[1:])
