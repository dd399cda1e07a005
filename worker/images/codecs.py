"""The image codecs. All modules import them from here, where what they need is set up first."""

from __future__ import annotations

import os

from worker.images.limits import CODEC_MAX_PIXELS
from worker.runtime.libraries import OPENCV_REMEDY, importing

__all__ = ["Image", "cv2", "imagecodecs", "simplejpeg"]

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(CODEC_MAX_PIXELS))

with importing("OpenCV (cv2)", OPENCV_REMEDY):
    import cv2
import imagecodecs  # loads each codec when it is first used
import simplejpeg
from PIL import Image  # resizes only; it never opens a file here

# Image processes are the parallelism: threads inside a call would compete for their cores.
cv2.setNumThreads(1)
# A hostile image must not be able to fill the log; what is wrong with it goes into its own answer.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
