"""What the completion scripts of cyclopts lack: names of files, and in zsh a call."""

import re
from typing import Literal

Shell = Literal["bash", "zsh", "fish"]

_FUNCTION = re.compile(r"(?m)^(\S+)\(\) \{$")
_BASH = re.compile(r"(?m)^complete (?=-F)")


def with_files(script: str, shell: Shell) -> str:
    """Return a completion script that completes names of files where it knows nothing else."""
    if shell == "bash":
        return _BASH.sub("complete -o bashdefault -o default ", script)
    if shell == "zsh":
        return script + _zsh_calls(_FUNCTION.findall(script)[0])
    return script  # fish does so by itself


def _zsh_calls(function: str) -> str:
    # zsh runs the file, but not a function in it with another name. Nested calls of _arguments
    # forget that a single match is to be inserted.
    return f"""
local insert=$compstate[insert]
{function} "$@"
(( compstate[nmatches] )) || _files
(( compstate[nmatches] )) && compstate[insert]=$insert
"""
