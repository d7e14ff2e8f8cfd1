"""NamedTuple, as `typing` has it, for classes that every command defines.

`typing` and `collections` compile source text for each such class: a third of a millisecond, as much as a module takes
to load. `infernoctl list` defines 18 of them, and a create that changes nothing 45. Here nothing is compiled. To type
checkers this is `typing.NamedTuple`, and it behaves so: values by position or by name, defaults, equality with tuples,
`_fields`, `_field_defaults`, `_replace`, `_asdict`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from operator import itemgetter

    class _Meta(type):
        """Makes each annotated name a field: an attribute that reads its place in the tuple."""

        def __new__(meta, name, bases, body):
            body["__slots__"] = ()
            if "__annotations__" not in body:  # its fields are its base's
                return super().__new__(meta, name, bases, body)
            fields = tuple(body["__annotations__"])
            defaults = {field: body[field] for field in fields if field in body}
            if any(field in defaults for field in fields[: len(fields) - len(defaults)]):
                raise TypeError(f"{name}: a field without a default follows one with a default")
            body |= {field: property(itemgetter(place)) for place, field in enumerate(fields)}
            body |= {"__match_args__": fields, "_fields": fields, "_field_defaults": defaults}
            return super().__new__(meta, name, bases, body)

    class NamedTuple(tuple, metaclass=_Meta):
        def __new__(cls, *values, **named):
            missing = cls._fields[len(values) :]
            if named or missing:
                known = cls._field_defaults | named
                try:
                    values += tuple([known[field] for field in missing])
                except KeyError as field:
                    raise TypeError(f"{cls.__name__}() misses {field}") from None
            if len(values) > len(cls._fields) or not named.keys() <= set(missing):
                raise TypeError(f"{cls.__name__}() takes {', '.join(cls._fields)}, each once")
            return tuple.__new__(cls, values)

        def _replace(self, **named):
            if unknown := named.keys() - set(self._fields):
                raise ValueError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
            return tuple.__new__(type(self), (self._asdict() | named).values())

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

        def __getnewargs__(self):
            return tuple(self)
