"""The exception tree: drawn as it is, safe to pickle, silent about bodies."""

import copy
import pickle
import re
from typing import Any, get_args
from uuid import UUID

import pytest

import instantly_async
from instantly_async import errors
from instantly_async.errors import (
    MAX_RAW_BYTES,
    DecodeError,
    InstantlyError,
    LeadError,
    RunError,
    TransientError,
)

SECRET = b'{"email":"ada@example.com"}'


def drawn_tree() -> dict[str, list[str]]:
    """Name to the names of its bases, from the drawing in the module's docstring."""
    bases: dict[str, list[str]] = {}
    above: dict[int, str] = {2: "Exception"}  # indentation to name
    for line in (errors.__doc__ or "").splitlines():
        drawn = re.match(r"( {4,})((?:\w+Error(?:\(\w+\))?(?:  )?)+)", line)
        if drawn is None:
            continue
        depth = len(drawn[1])
        for name, other in re.findall(r"(\w+Error)(?:\((\w+)\))?", drawn[2]):
            bases[name] = [above[depth - 2], *([other] if other else [])]
            above[depth] = name
    return bases


def real_classes() -> list[type[InstantlyError]]:
    classes: list[type[InstantlyError]] = [InstantlyError]
    for cls in classes:
        classes += [sub for sub in cls.__subclasses__() if sub.__module__ == errors.__name__]
    return classes


def make(cls: type[InstantlyError]) -> InstantlyError:
    """Return an instance with every attribute set."""
    error = cls("It did not work")
    if isinstance(error, LeadError):
        error.lead_id = UUID(int=7)
        error.attempts = 3
    if isinstance(error, TransientError):
        error.retry_after_s = 2.5
    for name, value in (("status", 418), ("path", "status"), ("reason", "truncated")):
        if hasattr(error, name):
            setattr(error, name, value)
    error.add_note("seen twice")
    return error


CLASSES = real_classes()


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {cls.__name__: [base.__name__ for base in cls.__bases__] for cls in CLASSES}
    assert drawn_tree() == real
    assert len(real) == 26


def test_every_error_is_exported() -> None:
    assert {cls.__name__ for cls in CLASSES} <= set(instantly_async.__all__)


def test_no_error_shadows_a_builtin() -> None:
    builtins: Any = __builtins__
    names = builtins if isinstance(builtins, dict) else vars(builtins)
    assert not [cls for cls in CLASSES if cls.__name__ in names]


def test_an_error_concerns_one_id_or_the_run() -> None:
    for cls in CLASSES:
        assert not (issubclass(cls, LeadError) and issubclass(cls, RunError))


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_survives_a_pickle(cls: type[InstantlyError]) -> None:
    """Worker processes pass them on."""
    error = make(cls)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes
        assert type(again) is cls
        assert vars(again) == vars(error)
        assert (str(again), again.args) == (str(error), error.args)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
def test_every_error_can_be_copied(cls: type[InstantlyError], copier: Any) -> None:
    error = make(cls)
    again = copier(error)
    assert type(again) is cls
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_a_bare_error_of_every_class_can_be_made() -> None:
    """One message is all they need."""
    for cls in CLASSES:
        assert str(cls("Why")) == "Why"
        assert repr(cls("Why")) == f"{cls.__name__}('Why')"


@pytest.mark.parametrize(
    ("attempts", "text"),
    [
        (0, "HTTP 502"),
        (1, "HTTP 502 (lead abc, 1 attempt)"),
        (5, "HTTP 502 (lead abc, 5 attempts)"),
    ],
)
def test_the_text_names_the_lead_and_its_attempts(attempts: int, text: str) -> None:
    error = errors.ServerError("HTTP 502", status=502)
    error.lead_id = "abc"
    error.attempts = attempts
    assert str(error) == text
    assert error.last == "HTTP 502"


def test_last_has_a_word_even_without_a_message() -> None:
    assert errors.RequestTimeoutError().last == "RequestTimeoutError"


def test_statuses_and_waits_have_defaults() -> None:
    assert errors.RequestRejectedError("x", status=422).status == 422
    assert errors.RequestRejectedError("x").status == 400
    assert errors.ServerError("x").status == 500
    assert errors.ProtocolError("x").status is None
    assert errors.RateLimitedError("x").retry_after_s is None
    assert errors.RateLimitPauseError("x", retry_after_s=600).retry_after_s == 600
    assert errors.PaymentRequiredError("x").partial is None


def test_a_configuration_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no"):
        raise errors.ConfigurationError("no")


def test_an_undecodable_body_is_kept_but_never_shown() -> None:
    """Personal data: in ``raw`` on purpose, in no text, no args, no pickle by accident."""
    error = DecodeError("Odd", raw=SECRET)
    error.lead_id, error.attempts = "abc", 2
    assert error.raw == SECRET
    for shown in (str(error), repr(error), repr(error.args), f"{error!a}"):
        assert "ada" not in shown
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        dumped = pickle.dumps(error, protocol)
        assert b"ada" not in dumped
        assert pickle.loads(dumped).raw == b""  # noqa: S301 - our own bytes
    assert error.raw == SECRET  # pickling took nothing from the original


@pytest.mark.parametrize("size", [0, MAX_RAW_BYTES - 1, MAX_RAW_BYTES, MAX_RAW_BYTES + 1, 10**6])
def test_an_undecodable_body_is_kept_to_64_kib(size: int) -> None:
    assert MAX_RAW_BYTES == 65536
    assert len(DecodeError("Odd", raw=b"x" * size).raw) == min(size, MAX_RAW_BYTES)


@pytest.mark.parametrize("reason", get_args(errors.DecodeFailure))
def test_a_decode_error_says_where_and_how(reason: errors.DecodeFailure) -> None:
    error = DecodeError("Odd", path="status_summary.lastStep", reason=reason)
    assert (error.path, error.reason, error.raw) == ("status_summary.lastStep", reason, b"")
