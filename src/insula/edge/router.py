"""The route table: from a method and a path to the endpoint, without trying the routes one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from insula.edge.endpoint import Endpoint


class _Node:
    """The routes that share a beginning, by what comes next."""

    __slots__ = ("endpoints", "literals", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.endpoints: dict[str, Endpoint] = {}


class RouteTable:
    """Finds endpoints; plain text in a route wins over a field, `HEAD` is answered by the endpoint of `GET`.

    Parameters: `endpoints`, no two with one method and one shape of path.
    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self._root = _Node()
        exact: dict[tuple[str, str], Endpoint] = {}
        for endpoint in self.endpoints:
            methods = ("GET", "HEAD") if endpoint.method == "GET" else (endpoint.method,)
            node = self._node_of(endpoint.path)
            for method in methods:
                node.endpoints[method] = endpoint
                if not endpoint.path_parameters:
                    exact[method, endpoint.path] = endpoint
        self.exact: Mapping[tuple[str, str], Endpoint] = exact
        """(method, path) -> endpoint of the routes without fields: the short way."""

    def find(self, method: str, segments: Sequence[str]) -> tuple[Endpoint, tuple[str, ...]] | None:
        """The endpoint for a path and the values of its fields, in order; None where there is none.

        Parameters: `segments`, what stands between the slashes, unquoted one by one, so that a value may hold a slash.
        """
        for node, values in _matches(self._root, segments, 0, ()):
            endpoint = node.endpoints.get(method)
            if endpoint is not None:
                return endpoint, values
        return None

    def methods(self, segments: Sequence[str]) -> tuple[str, ...]:
        """The methods that a path answers, sorted; empty for a path that no route has."""
        found = {method for node, _ in _matches(self._root, segments, 0, ()) for method in node.endpoints}
        return tuple(sorted(found | {"OPTIONS"})) if found else ()

    def _node_of(self, path: str) -> _Node:
        node = self._root
        for segment in segments_of(path):
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        return node


def segments_of(path: str) -> list[str]:
    """What stands between the slashes of a path that begins with one."""
    return path[1:].split("/")


def _matches(
    node: _Node, segments: Sequence[str], depth: int, values: tuple[str, ...]
) -> Iterator[tuple[_Node, tuple[str, ...]]]:
    if depth == len(segments):
        yield node, values
        return
    segment = segments[depth]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _matches(literal, segments, depth + 1, values)
    if node.parameter is not None and segment:
        yield from _matches(node.parameter, segments, depth + 1, (*values, segment))
