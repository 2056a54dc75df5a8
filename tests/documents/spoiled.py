"""A JSON document in all the ways in which it is wrong: what a schema must refuse."""


def wrong_type(value):
    """A value of a type that no schema allows beside this value's."""
    if value is None:
        return []
    return 7 if isinstance(value, str) else "text"


def spoil(value, optional, where=""):
    """Pairs of what is wrong and the document with it: a key is missing that is not optional, one is
    there that nobody knows, or a value is of another type."""
    yield f"{where or 'the document'} is of another type", wrong_type(value)
    if isinstance(value, dict):
        yield f"{where} has an unknown key", {**value, "no such key": 1}
        for key in value.keys() - optional:
            yield f"{where} has no {key}", {k: v for k, v in value.items() if k != key}
    children = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        for what, spoiled in spoil(child, optional, f"{where}/{key}"):
            copy = value.copy()
            copy[key] = spoiled
            yield what, copy
