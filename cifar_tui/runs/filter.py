"""The filter of a list of runs: plain words that must occur, or with a minus must not."""

from cifar_tui.runs.fields import settings_text
from cifar_tui.runs.listing import Run


def searchable(run: Run) -> str:
    """All that a filter looks at, in lower case: name, id, settings, tags, status and note."""
    words = [run.name, run.id, settings_text(run), *run.tags, run.status, run.notes.note]
    if run.spec is not None:
        words.append(run.spec.model)
    if run.synthetic:
        words.append("demo")
    return "\n".join(words).casefold()


def matches(text: str, query: str) -> bool:
    """Whether `text`, made by `searchable`, has all words of `query` and none with a minus."""
    for word in query.casefold().split():
        if word[0] == "-" and len(word) > 1:
            if word[1:] in text:
                return False
        elif word != "-" and word not in text:
            return False
    return True
