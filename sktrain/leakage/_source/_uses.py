"""What a program does with its columns, read from the syntax tree alone."""

import ast

__all__ = ["only_drawn"]

_DRAWS = {
    "plot", "hist", "scatter", "line", "bar", "area", "fill_between", "semilogy", "step",
    "lineplot", "histplot", "kdeplot", "scatterplot", "add_trace", "Scatter", "boxplot", "show",
    "describe", "print", "display", "head", "tail",
}
_HANDS_ON = {
    "to_csv", "to_parquet", "to_pickle", "to_feather", "to_hdf", "to_sql", "to_excel", "to_json",
    "dump", "save",
}


def only_drawn(tree) -> frozenset:
    """Names that are drawn or printed, with nothing else done with them.

    Parameters
    ----------
    tree : ast.Module

    Returns
    -------
    frozenset of str
        Empty where frames leave the file or a function: others may use their columns then.
    """
    drawn: set[str] = set()
    used: set[str] = set()
    waiting = [(tree, False)]
    while waiting:
        node, within = waiting.pop()
        if isinstance(node, ast.Return) and node.value is not None:
            return frozenset()
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in _HANDS_ON:
                return frozenset()
            within = within or name in _DRAWS
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            (drawn if within else used).add(node.value)
        if isinstance(node, ast.Attribute):
            (drawn if within else used).add(node.attr)
        waiting += [(child, within) for child in _reads(node)]
    return frozenset(drawn - used)


def _reads(node):
    """The parts of a node that use columns: targets and the keys of a dict only make them."""
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
        return [] if node.value is None else [node.value]
    return node.values if isinstance(node, ast.Dict) else list(ast.iter_child_nodes(node))
