"""Classifies an image over HTTP.

python http_client.py IMAGE [SERVICE]    IMAGE: a file or an http(s) URL
"""

import base64
import sys
from pathlib import Path

import requests


def main(image: str, service: str = "http://localhost:8080") -> None:
    """Print the categories and save the picture as classified.jpg."""
    if not image.startswith(("http://", "https://")):
        image = base64.b64encode(Path(image).read_bytes()).decode()
    request = {"image": image, "inferenceParams": {"topK": 5}}
    # Where the worker asks for a token, post with headers={"Authorization": f"Bearer {token}"}.
    response = requests.post(f"{service}/image-classification", json=request, timeout=60)
    answer = response.json()
    if answer["errorCode"] != 0:
        sys.exit(f"{answer['errorCode']}: {answer['errorMsg']}")
    for category in answer["result"]["categories"]:
        print(f"{category['score']:.5f}  {category['name']}")
    Path("classified.jpg").write_bytes(base64.b64decode(answer["result"]["image"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
