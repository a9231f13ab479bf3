"""What log records say about an error in fields of their own (``extra=``)."""


def facts_of(error: BaseException, **more: object) -> dict[str, object]:
    """Return the class of an error, its HTTP status if it has one, and ``more``."""
    facts: dict[str, object] = {"error": type(error).__name__}
    status = getattr(error, "status", None)
    if status is not None:
        facts["status"] = status
    return facts | more
