"""Matches the columns of several CSV files by name."""

from collections.abc import Sequence
from dataclasses import dataclass

from ml.loading.columns import BROKEN_LINE, FILE_NUMBER


@dataclass(frozen=True)
class Columns:
    """The columns of all files of a source."""

    names: list[str]
    # Names that one file has several times, in lowercase -> a text with their places, for messages.
    repeated: dict[str, str]
    # For each file, the places of its columns in `names`.
    places: list[list[int]]


def unique_names(
    header: Sequence[str], folders: Sequence[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """Returns names that are unique in any letter case, and the repeated ones with their places.

    A blank or repeated name, or one of the loader's own columns, becomes `_c` and its place,
    counted from 0. The repeated name of a key=value folder becomes `_folder_` and the name. Names
    of folders come after the header's.
    """
    names = [*header, *folders]
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name.lower(), []).append(place)
    taken = {name for name, found in places.items() if name and len(found) == 1}
    unique: list[str] = []
    for place, name in enumerate(names):
        own = name
        if name in ("", BROKEN_LINE, FILE_NUMBER) or len(places[name.lower()]) > 1:
            own = f"_c{place}" if place < len(header) else f"_folder_{name}"
            while own.lower() in taken:
                own += "_"
            taken.add(own.lower())
        unique.append(own)

    def described(place: int) -> str:
        origin = f"column {place + 1}" if place < len(header) else "folder"
        return f"{names[place]!r} ({origin}, here {unique[place]})"

    repeated = {
        name: " and ".join(map(described, found))
        for name, found in places.items()
        if name and len(found) > 1
    }
    return unique, repeated


def combine_columns(headers: list[list[str]], partitions: list[list[str]]) -> Columns:
    """Returns the columns of all files, matched in any letter case, in the order they appear.

    `partitions` has for each file the names of its key=value folders.
    """
    names: dict[str, str] = {}
    repeated: dict[str, str] = {}
    own_names = []
    for header, partition in zip(headers, partitions, strict=True):
        own, repeated_here = unique_names(header, partition)
        repeated |= repeated_here
        own_names.append(own)
        for name in own:
            names.setdefault(name.lower(), name)
    order = {name: place for place, name in enumerate(names)}
    places = [[order[name.lower()] for name in own] for own in own_names]
    return Columns(list(names.values()), repeated, places)
