"""Failed requests to the Hugging Face Hub: whether to retry, and one line that explains the failure."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub import get_session
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx

from sat_probe.errors import HubError

ATTEMPTS = 8
LONGEST_WAIT = 60.0  # seconds
READ_TIMEOUT = 120.0  # seconds without a byte

# every exception that the clients raise: uploads of large files wrap HTTP errors in RuntimeError, ConnectionError or
# OSError; an answer that is not from a Hub, such as the page of a proxy, is a ValueError or a KeyError
HUB_FAILURES = (httpx.TransportError, HfHubHTTPError, OSError, RuntimeError, ValueError, KeyError)
_GARBLED = (json.JSONDecodeError, UnicodeDecodeError, KeyError)
_REFUSALS = {
    GatedRepoError: "access is gated; ask for it on its page on the Hub, then `hf auth login`",
    RepositoryNotFoundError: "no such repository, or it is private and this token may not see it (`hf auth login`)",
    RevisionNotFoundError: "has no such revision",
}

Result = TypeVar("Result")


def retry(call: Callable[[], Result], repo_id: str) -> Result:
    """The result of a call, repeated while the Hub is out of reach.

    Raises:
        HubError: refused, or still failing after `ATTEMPTS` tries.
    """
    set_timeout()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except HUB_FAILURES as error:
            if attempt == ATTEMPTS or not is_unknown(error):
                raise as_hub_error(error, repo_id) from error
            time.sleep(wait(attempt, error))
    raise AssertionError("unreachable")


def is_unknown(error: BaseException) -> bool:
    """Whether a failed request may have succeeded, or may succeed when sent again."""
    if isinstance(error, (HubError, OfflineModeIsEnabled, LocalTokenNotFoundError)):
        return False
    if isinstance(error, HfHubHTTPError):
        return status(error) in {408, 409, 412, 429} or status(error) >= 500
    if isinstance(error, (httpx.TransportError, *_GARBLED)):
        return True
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, HfHubHTTPError):  # an upload of a large file
        return is_unknown(error.__cause__)
    if isinstance(error, (ConnectionError, RuntimeError)):  # the xet client has the status only in its text
        return re.search(r"\b(400|401|403|404)\b", str(error)) is None
    return False


def refusal(name: str, *errors: BaseException | None) -> str | None:
    """Why the Hub refused a repository, as one line; None for other failures.

    Args:
        name: of the repository, as the user gave it.
        errors: a failure, and what it may wrap.
    """
    found = (line for error in errors for kind, line in _REFUSALS.items() if isinstance(error, kind))
    return next((f"{name}: {line}" for line in found), None)


def as_hub_error(error: BaseException, repo_id: str) -> HubError:
    """The failure as one line: what was refused, the likely cause, what to do."""
    if isinstance(error, HubError):
        return error
    wrapped = isinstance(error, RuntimeError) or isinstance(error.__cause__, HfHubHTTPError)
    cause = error.__cause__ if wrapped and error.__cause__ else error
    if isinstance(cause, HFValidationError):
        return HubError(f"{repo_id!r} is not the name of a repository: use OWNER/NAME ({one_line(cause)})")
    return HubError(refusal(repo_id, cause) or f"{repo_id}: {_likely_cause(cause)}")


def _likely_cause(error: BaseException) -> str:
    """Likely cause of a failure that is no refusal of a repository, and what to do."""
    code = status(error)
    if isinstance(error, _GARBLED):
        return "the Hub's answer cannot be read (is it a proxy, or a login page of the network, that answers?)"
    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is on; unset HF_HUB_OFFLINE to reach the Hub"
    if isinstance(error, LocalTokenNotFoundError) or code == 401 or "Invalid user token" in str(error):
        return "the Hub does not know this token: run `hf auth login`, or set HF_TOKEN"
    if code == 403:
        return (
            f"no permission ({one_line(error)}): use a token that may do this (`hf auth login`), or, to publish, "
            "take another name or open a pull request"
        )
    if isinstance(error, (httpx.TransportError, ConnectionError, LocalEntryNotFoundError)) and code == 0:
        return f"the Hub cannot be reached ({one_line(error)})"
    if code == 429 or code >= 500:
        return f"the Hub is overloaded or down ({one_line(error)}); try again later"
    return one_line(error)


def set_timeout() -> None:
    """Give the shared client a timeout if it has none; without one, a hung request never ends."""
    client = get_session()
    if client.timeout == httpx.Timeout(None):
        client.timeout = httpx.Timeout(READ_TIMEOUT, connect=20.0)


def wait(attempt: int, error: BaseException) -> float:
    """Seconds before the next try: as the Hub asked, otherwise doubling; short after a lost race."""
    code = status(error)
    if code == 412:  # someone else's commit landed: there is progress, only do not collide again
        return random.uniform(0.0, 0.5 * attempt)
    asked = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    doubled = 2.0 ** (attempt - 1) * random.uniform(0.75, 1.25)
    return min(max(float(asked), doubled) if asked.isdigit() else doubled, LONGEST_WAIT)


def status(error: BaseException) -> int:
    """HTTP status of an error; 0 if it has none."""
    return error.response.status_code if isinstance(error, HfHubHTTPError) and error.response is not None else 0


def one_line(error: BaseException) -> str:
    """The message of an error in one line, without anything that looks like a token."""
    text = getattr(error, "server_message", None) or str(error).strip() or type(error).__name__
    line = " ".join(str(text).split())
    line = re.sub(r"\bhf_\w+", "hf_***", line)
    code = status(error)
    return (f"{code}: {line}" if code and str(code) not in line else line)[:300]
