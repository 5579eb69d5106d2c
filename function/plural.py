"""Numbers with their nouns, in messages for people."""


def of(number: int | str, noun: str) -> str:
    """Returns a number with its noun, such as `1 GPU` and `2 GPUs`.

    Args:
        number: The number, or its digits as they are to be shown.
        noun: One of what is counted; what stands behind the noun follows from the caller.
    """
    return f"{number} {noun}" if str(number) == "1" else f"{number} {noun}s"


def are(number: int) -> str:
    """Returns the verb behind so many."""
    return "is" if number == 1 else "are"
