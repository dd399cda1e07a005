"""Makes a job of a request: JSON, a raw image or a form, each with options in the query."""

from __future__ import annotations

from aiohttp import web

from worker.contract.documents import read_job_document
from worker.contract.headers import JOB_ID
from worker.contract.job_options import Given, given_options, read_job_id
from worker.contract.jobs import Job
from worker.contract.parsing import job_from_object, raw_job
from worker.errors import JobError, Reason
from worker.http.form import UNKNOWN_TYPE, read_form

__all__ = ["Reading"]

JSON_TYPES = frozenset({"application/json", "text/json"})
DEFAULT_TYPES = frozenset({"", "application/x-www-form-urlencoded"})
"""Types of clients that set none: no header, or their library's default for a string body.
PaddleX's documented Go and Node.js clients are such clients."""

FORM_TYPE = "multipart/form-data"

SEND_JSON = "send JSON in UTF-8, or an image file with Content-Type: image/jpeg"


class Reading:
    """Knows from a request's headers how to read its body.

    Raises:
        JobError: the content type is not accepted.
    """

    def __init__(self, request: web.Request) -> None:
        # Not `request.content_type` alone: aiohttp reports a missing type as octet-stream.
        self._header = request.headers.get("Content-Type", "").strip()
        self._kind = request.content_type.lower() if self._header else ""
        self._query = given_options(request.query.items(), "query parameter")
        if not (self._is_json or self._is_image or self._kind == FORM_TYPE):
            raise JobError(
                Reason.CONTENT_TYPE,
                f"content type {self._kind[:80]!r} is not accepted; use application/json, "
                "image/jpeg (or another image type) for the file itself, or multipart/form-data",
            )

    @property
    def _is_json(self) -> bool:
        return self._kind in JSON_TYPES | DEFAULT_TYPES or self._kind.endswith("+json")

    @property
    def _is_image(self) -> bool:
        return self._kind == UNKNOWN_TYPE or self._kind.startswith("image/")

    def job(self, body: bytes | bytearray) -> Job:
        """Read the job in the request's body.

        Returns:
            The job, with the options of body and query.

        Raises:
            JobError: the body does not match its content type, or an option is wrong.
        """
        if self._kind == FORM_TYPE:
            form = read_form(body, self._header)
            return _raw(form.file, _joined(given_options(form.fields, "field"), self._query))
        # Some clients send JSON as octet-stream, and no image file begins like a JSON object.
        if self._is_json or (self._kind == UNKNOWN_TYPE and body[:32].lstrip()[:1] == b"{"):
            document = read_job_document(body, "request body", SEND_JSON)
            return job_from_object(document, beside=self._query)
        return _raw(bytes(body), self._query)


def _raw(data: bytes, given: Given) -> Job:
    if not data:
        raise JobError(Reason.EMPTY_VALUE, "the image file is empty; send the whole file")
    return raw_job(data, given, read_job_id(given.get(JOB_ID, ())))


def _joined(*several: Given) -> Given:
    return {
        option: [one for given in several for one in given.get(option, ())]
        for option in {option for given in several for option in given}
    }
