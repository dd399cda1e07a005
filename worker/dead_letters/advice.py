"""What to do about a dead letter, by why it failed."""

from __future__ import annotations

from worker.errors import Reason

__all__ = ["advice"]

_REPLAY = "then replay it"
_PRODUCER = "its producer must send another record: replayed as it is, it would fail again"

_ADVICE = {
    Reason.FETCH_FAILED: f"see that the image's host answers, {_REPLAY}",
    Reason.FETCH_TIMEOUT: f"see that the image's host answers in time, {_REPLAY}",
    Reason.FETCH_REFUSED: f"see that the image's host serves the worker, {_REPLAY}",
    Reason.NOT_FOUND: f"put the image back at its URL, {_REPLAY}",
    Reason.FORBIDDEN_URL: f"allow the image's address (fetch.allow_networks), {_REPLAY}",
    Reason.TOO_LARGE: f"raise the limit that the message names, {_REPLAY}; or send it smaller",
    Reason.TOO_MANY_PIXELS: f"raise decode.max_pixels, {_REPLAY}; or send it smaller",
    Reason.DEADLINE_EXCEEDED: "its deadline is over: replayed as it is, it would fail again",
    Reason.POISON: f"it breaks the predictor: keep it and report it; with another model, {_REPLAY}",
    Reason.UNAVAILABLE: f"see that the predictors are up, {_REPLAY}",
    Reason.INTERNAL: f"look for the job in the worker's log, {_REPLAY}",
    Reason.RESULT_REFUSED: f"correct the results topic's settings, {_REPLAY}",
    Reason.CORRUPT_IMAGE: "look at the image (show --save): if it is whole, report it",
    Reason.NOT_AN_IMAGE: "look at what was sent (show --save); its producer must send an image",
}


def advice(reason: str) -> str:
    """Tell what to do about letters of a reason.

    Args:
        reason: the label.

    Returns:
        A clause for people.
    """
    known = next((each for each in Reason if each.label == reason), None)
    if known is None:
        return "see what its message says"
    return _ADVICE.get(known, _PRODUCER)
