"""Where ids come from: files, pipes and terminals, in several formats.

Decides how a file is parsed, which ids it holds, and which of them have to be fetched. Must not
know how leads are fetched or written.
"""

from .formats import InputFormat
from .sources import FileOfIds, GivenIds, IdSource, Survey, open_source
from .understood import Understood

__all__ = [
    "FileOfIds",
    "GivenIds",
    "IdSource",
    "InputFormat",
    "Survey",
    "Understood",
    "open_source",
]
