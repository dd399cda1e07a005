"""A process that measures when it is told to: a question a line, an answer a line, both JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from worker.errors import ModelError, WorkerError
from worker.runtime.child_environment import child_environment
from worker.runtime.children import die_with, module_command

__all__ = ["Child", "UnusableImageError", "answer_questions"]

Question = Mapping[str, Any]
Answer = dict[str, Any]


class UnusableImageError(WorkerError):
    """An image cannot be used; the message names it."""


class Child:
    """One of this package's `..._process` modules in a process; a context manager that ends it.

    Args:
        module: its full name.
        arguments: its `sys.argv[2:]`; the first one is this process's id.
        descriptors: those that it inherits.
        environment: variables to add.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        descriptors: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with paths and names
            module_command(module, str(os.getpid()), *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Native libraries write there whatever comes to their mind.
            stderr=subprocess.DEVNULL,
            env=child_environment(None, **(environment or {})),
            pass_fds=descriptors,
            text=True,
        )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, **question: object) -> None:
        """Send a question, whose answer `answer` reads: several processes can work at a time.

        Raises:
            ModelError: the process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._ended() from error

    def answer(self) -> Answer:
        """Wait for the next answer; the first one comes unasked when the process is ready.

        Raises:
            ModelError: the process ended, or says why it cannot compute the model.
            WorkerError: it says what is wrong with an image.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        answer: Answer = json.loads(line)
        if "image" in answer:
            raise WorkerError(answer["image"])
        if "error" in answer:
            raise ModelError(answer["error"])
        return answer

    def _ended(self) -> ModelError:
        return ModelError(f"its process ended with exit status {self._process.wait()}")


def answer_questions(prepare: Callable[[list[str]], Callable[[Question], Answer]]) -> None:
    """Be such a process: prepare, say so, and answer until there are no more questions.

    Args:
        prepare: gets `sys.argv[2:]`, and returns what answers.
    """
    # Native libraries print to standard output while they load.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    die_with(int(sys.argv[1]))

    def say(answer: Answer) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        answering = prepare(sys.argv[2:])
        say({})
        for line in sys.stdin:
            say(answering(json.loads(line)))
    except UnusableImageError as error:
        say({"image": str(error)})
    except WorkerError as error:
        say({"error": str(error)})
    except Exception as error:  # noqa: BLE001 - native libraries raise what they like
        say({"error": f"{type(error).__name__}: {error}"[:1000]})
