"""Which fields of its subjects a rule looks at."""

from __future__ import annotations

from insula.rules.tree import Call, Name, Node, Select

_OVER_ELEMENTS = frozenset(["all", "exists", "exists_one", "existsOne", "filter", "map", "optMap", "optFlatMap"])
_OVER_ENTRIES = frozenset(
    ["all", "exists", "exists_one", "existsOne", "transformList", "transformMap", "transformMapEntry"]
)


def fields_used(tree: Node) -> frozenset[str]:
    """The fields, each with the dots that lead to it, as far as they are written: of `a.b[0].c` it is `a.b`."""
    return frozenset(_used(tree, frozenset()))


def _used(node: Node, own: frozenset[str]) -> set[str]:
    """`own` are the variables of macros around it, which are nobody's fields."""
    path = dotted(node)
    if path is not None:
        return set() if path.partition(".")[0] in own and not is_absolute(node) else {path}
    if isinstance(node, Call):
        return _used_by_call(node, own)
    return {field for part in node.parts for field in _used(part, own)}


def _used_by_call(node: Call, own: frozenset[str]) -> set[str]:
    target, arguments = node.target, node.arguments
    if target == Name("cel") and node.function == "bind" and len(arguments) == 3:
        inner = own | _names(arguments[:1])
        return _used(arguments[1], own) | _used(arguments[2], inner)
    if target is None or target in _SPACES:
        return {field for each in arguments for field in _used(each, own)}
    variables = _variables(node)
    inner = own | _names(arguments[:variables])
    return _used(target, own) | {field for each in arguments[variables:] for field in _used(each, inner)}


_SPACES = frozenset(Name(name) for name in ("cel", "math", "optional", "base64", "strings"))


def _variables(node: Call) -> int:
    """How many names a macro gives to what it runs over."""
    count = len(node.arguments)
    if node.function in _OVER_ENTRIES and count >= 3:
        return 2
    return 1 if node.function in _OVER_ELEMENTS and count >= 2 else 0


def _names(nodes: tuple[Node, ...]) -> set[str]:
    return {node.name for node in nodes if isinstance(node, Name)}


def dotted(node: Node) -> str | None:
    """A name with dots, if a node is nothing else."""
    parts = list[str]()
    while isinstance(node, Select) and not node.optional:
        parts.append(node.field)
        node = node.of
    return ".".join([node.name, *reversed(parts)]) if isinstance(node, Name) else None


def is_absolute(node: Node) -> bool:
    """Whether a dot stands before such a name, which then is never a variable of a macro."""
    while isinstance(node, Select):
        node = node.of
    return isinstance(node, Name) and node.absolute


def tree_of_path(path: str) -> Node:
    """A name with dots, the other way round."""
    root, *names = path.split(".")
    node: Node = Name(root)
    for name in names:
        node = Select(node, name)
    return node
