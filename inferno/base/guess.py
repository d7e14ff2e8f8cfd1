"""What a misspelt word may have been."""

from __future__ import annotations

from collections.abc import Iterable

# Of difflib's ratio. Letters that changed places or are missing stay above it (tial: 0.75); a word that is another one
# stays below (rename and create, gpus and vcpus: 0.67), and to guess there would mislead.
_LIKE = 0.75


def near(word: str, known: Iterable[str]) -> str | None:
    """The `known` word that `word` is most likely to be."""
    return next(iter(all_near(word, known, 1)), None)


def all_near(word: str, known: Iterable[str], most: int) -> list[str]:
    """The `known` words that `word` is likely to be, the likeliest first; at most so many."""
    import difflib  # only for a word that is wrong

    return difflib.get_close_matches(word, list(known), most, _LIKE)
