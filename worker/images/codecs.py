"""The one door to the image codecs: what must be set before and after they load is set here."""

from __future__ import annotations

import os

from worker.runtime.libraries import OPENCV_REMEDY, importing

__all__ = ["CODEC_MAX_PIXELS", "Image", "cv2", "imagecodecs", "simplejpeg"]

CODEC_MAX_PIXELS = 2**28
"""Most pixels that OpenCV decodes, whatever the settings say.

The header is read and checked before any decoder runs; this is the net below that check, for a file
whose header and content disagree. OpenCV reads it once, when it loads, and defaults to 2**30.
"""

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(CODEC_MAX_PIXELS))

with importing("OpenCV (cv2)", OPENCV_REMEDY):
    import cv2
import imagecodecs  # noqa: E402 - loads each codec when it is first used
import simplejpeg  # noqa: E402 - after the limit above
from PIL import Image  # noqa: E402 - resizes only; it never opens a file here

# The pool of decode threads is the parallelism: threads inside one call would fight it for cores.
cv2.setNumThreads(1)
# A hostile image must not be able to fill the log; what is wrong with it goes into its own answer.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
