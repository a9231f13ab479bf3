"""A wrong command line as one sentence, with its remedy and the help of its command.

A value is never quoted, because it may be a key, a password or an email. Options and commands are
quoted if they look like one.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, get_args

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from instantly_async._api import wire_id
from instantly_async.settings import API_KEY_VARIABLE

from .exits import CommandError
from .keys import is_key
from .remedies import BECAUSE, INSTEAD, MISSING, NUMBER, OF_COMMAND, TOO_MANY
from .system import STDIO

_OPTION = re.compile(r"-[A-Za-z]|--?[a-z][a-z_-]{0,24}", re.ASCII)
_COMMAND = re.compile(r"[a-z]{1,20}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_PRIVATE = re.compile(r"[^\s/@]+@[^\s/@]+|.*://[^/]*@.*", re.DOTALL)
_KINDS = {int: "a whole number", float: "a number"}


class StrayOptionError(CommandError):
    """An option is in the place of a file; ``option`` is its name."""

    def __init__(self, option: str) -> None:
        super().__init__("There is an unknown option.")
        self.option = option


def path_of(argument: str) -> str:
    """Return a file's name.

    Raises:
        StrayOptionError: it is an option that does not exist.
    """
    if argument.startswith("-") and argument != STDIO:
        raise StrayOptionError(_name_of(argument))
    return argument


def require_no_key(arguments: Sequence[str]) -> None:
    """Check that no argument is a key of the environment.

    Raises:
        CommandError: one is.
    """
    if any(is_key(each) or is_key(each.partition("=")[2]) for each in arguments):
        raise CommandError(
            "An argument is an API key, which other users of this machine can see; leave it out, "
            f"because the command reads it from {API_KEY_VARIABLE} or from the --profile."
        )


def without_private(sentence: str, arguments: Sequence[str]) -> str:
    """Return the sentence without arguments that are an email, or a URL with a password."""
    for each in arguments:
        value = each.partition("=")[2] if each.startswith("-") else each
        if _PRIVATE.fullmatch(value):
            sentence = sentence.replace(value, "…")
    return sentence


def _name_of(argument: str) -> str:
    return argument.partition("=")[0]


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line that is wrong; ``options`` are the names of those of each command."""

    arguments: Sequence[str]
    options: Mapping[str, AbstractSet[str]]

    @property
    def command(self) -> str:
        """The command; empty: there is none."""
        first = self.arguments[0] if self.arguments else ""
        return first if first in self.options else ""

    def sentence_of(self, error: CycloptsError | StrayOptionError) -> str:
        """Return what is wrong, the remedy, and where the help is."""
        see = " ".join(filter(None, ("instantly-async", self.command, "--help")))
        problem = self._problem(error)
        return f'{problem}{"" if problem.endswith("?") else "."} See "{see}".'

    def _problem(self, error: CycloptsError | StrayOptionError) -> str:
        match error:
            case StrayOptionError():
                return self._unknown(error.option)
            case UnknownOptionError():
                return self._unknown(_name_of(error.token.keyword or error.token.value))
            case UnknownCommandError():
                return self._unknown_command()
            case UnusedCliTokensError() | MissingArgumentError() if stray := self._stray():
                return self._unknown(stray)
            case UnusedCliTokensError():
                return self._too_many(error.unused_tokens or ())
            case MissingArgumentError():
                return self._missing(error)
            case RepeatArgumentError():
                return f"{error.token.keyword} is there more than once; give it once"
            case CoercionError() | ValidationError():
                return _bad_value(error)
            case _:
                return "The command line is not valid"

    def _stray(self) -> str | None:
        """Return an unknown option that was read as a file, or as a part of the arguments."""
        known = self._own() | {STDIO, "--"}
        options = [_name_of(each) for each in self.arguments if each.startswith("-")]
        return next((each for each in options if each not in known), None)

    def _own(self) -> AbstractSet[str]:
        return self.options.get(self.command, frozenset())

    def _unknown(self, option: str) -> str:
        if option in self._own():  # as in ``-o --quiet``
            return f"A value is missing before {option}"
        named = f"Unknown option: {option}" if _OPTION.fullmatch(option) else "Unknown option"
        remedy = self._remedy_for(option)
        return f"{named}; {remedy}" if remedy else named

    def _remedy_for(self, option: str) -> str | None:
        own = self._own()
        fixed = OF_COMMAND.get((self.command, option)) or BECAUSE.get(option)
        if fixed is not None:
            return fixed
        for instead in INSTEAD.get(option, ()):
            if instead.split()[0] in own:
                return f"use {instead}"
        owners = [command for command, names in self.options.items() if option in names]
        if owners:
            return f"only {_listed(owners)} {'has' if len(owners) == 1 else 'have'} it"
        near = difflib.get_close_matches(option.lower(), sorted(own), n=1)
        return f"did you mean {near[0]}?" if near else None

    def _unknown_command(self) -> str:
        word = self.arguments[0]
        if word.startswith("-"):
            return _unknown_without_command(_name_of(word))
        if wire_id(word) is not None:
            return "A command comes before a lead id, as in: instantly-async get ID"
        named = f"Unknown command: {word}" if _COMMAND.fullmatch(word) else "Unknown command"
        near = difflib.get_close_matches(word.lower(), self.options, n=1)
        return f"{named}; " + (
            f"did you mean {near[0]}?" if near else f"there are {_listed(list(self.options))}"
        )

    def _too_many(self, unused: Sequence[str]) -> str:
        option = NUMBER.get(self.command)
        if option is None:
            return "There are too many arguments; " + TOO_MANY.get(self.command, "leave some out")
        number = next(filter(_NUMBER.fullmatch, unused), "N")
        return f"{self.command} takes only options; use {option} {number}"

    def _missing(self, error: MissingArgumentError) -> str:
        name = error.keyword or (error.argument.name if error.argument else "")
        if name.startswith("-"):
            return f"{name} needs a value after it"
        return MISSING.get(self.command, "An argument is missing")


def _unknown_without_command(option: str) -> str:
    """Return what to say of an option where a command is expected."""
    named = f"Unknown option: {option}" if _OPTION.fullmatch(option) else "Unknown option"
    long = "--version" if option.lower() == "-v" else option.lower()
    near = difflib.get_close_matches(long, ("--help", "--version"), n=1)
    return f"{named}; " + (
        f"did you mean {near[0]}?" if near else "name a command first, such as demo"
    )


def _bad_value(error: CoercionError | ValidationError) -> str:
    argument, token = error.argument, getattr(error, "token", None)
    name = (token and token.keyword) or (argument.name if argument else "An argument")
    if isinstance(error, ValidationError):
        bound = error.exception_message.rstrip(".").removeprefix("Must be ")
        return f"{name} must be {bound.replace('>=', 'at least').replace('<=', 'at most')}"
    target: Any = error.target_type
    choices = get_args(target)
    if not choices:
        return f"{name} must be {_KINDS.get(target, 'another value')}"
    near = difflib.get_close_matches(token.value.lower() if token else "", choices, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{name} must be {_listed(choices, 'or')}{hint}"


def _listed(words: Sequence[str], conjunction: str = "and") -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"
