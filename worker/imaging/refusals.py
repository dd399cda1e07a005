"""Why an image is refused that an image process did not survive. No I/O."""

from __future__ import annotations

from worker.errors import JobError, Reason, Stage
from worker.imaging.call import DiedError
from worker.settings import DecodeSettings

__all__ = ["refusal"]


def refusal(stage: Stage, error: DiedError, attempts: int, limits: DecodeSettings) -> JobError:
    """Say why an image is refused whose process ended.

    Args:
        error: how it ended the last time.
        attempts: how many processes were given it.
        limits: that it had.

    Returns:
        The error, which tells its sender what to do.
    """
    match error.cause:
        case "cpu":
            why = (
                f"the {stage} stage takes more than {limits.cpu_seconds} s of processor time; "
                "save the image again in a simpler form, or allow more with decode.cpu_seconds"
            )
        case "memory":
            why = (
                f"the {stage} stage needs more than {limits.memory >> 20} MiB of memory; send "
                "a smaller image, or allow more with decode.memory"
            )
        case "timeout":
            why = (
                f"the {stage} stage did not end within {limits.timeout:g} s; save the image "
                "again, or send another"
            )
        case "parent":
            why = (
                f"{error.how}, also when nothing else is decoded; save the image again, or "
                "send another"
            )
        case _:
            doing = "decoder" if stage is Stage.DECODE else "encoder"
            why = (
                f"it crashes the {doing}, also when it is alone ({error.how}); save the image "
                "again, or send another"
            )
            if error.cause == "killed":
                why += "; a kernel that is short of memory ends processes like this, too"
    return JobError(Reason.CORRUPT_IMAGE, why, attempts=attempts, stage=stage)
