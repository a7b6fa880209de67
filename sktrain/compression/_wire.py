"""What a serialized ONNX graph asks for, read without the library that wrote it.

A graph from an untrusted file may loop for ever, or make a large array out of nothing. Graphs of
networks do neither, so operators that can are refused before the runtime sees them. Others make
large arrays out of small ones, an outer product for example: the runtime itself tells the shape of
everything that a graph works out, before it works anything out.
"""

import math
from typing import NamedTuple

from .._optional import require
from ..exceptions import CorruptFileError

__all__ = ["activations", "field", "read_graph", "varint"]

# a judgment: 256 unrolled steps of 25 operators in each of ten layers are 64,000
_MOST_NODES = 100_000
_GRAPH, _FUNCTIONS = 7, 25  # fields of a model, in onnx.proto
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of a graph
_GIVEN, _RESULT, _OP, _ATTRIBUTE, _DOMAIN = 1, 2, 4, 5, 7  # of a node
_INPUT, _OUTPUT = 11, 12  # of a graph
_DECLARES = (_INPUT, _OUTPUT, 13)  # of a graph: inputs, outputs, and what is told of the rest
_DIMS, _NAME = 1, 8  # of a tensor
_FLOAT, _INT8 = 1, 3  # types of a tensor
_INNER = (6, 11)  # of an attribute: a graph, graphs
_VALUES, _SPARSE_VALUES = (5, 10), (22, 23)  # of an attribute: an array, arrays
_LOCATION, _EXTERNAL = 14, 13  # of a tensor: where its data are
_DOMAINS = (b"", b"ai.onnx")
_REFUSED = {
    # control flow
    b"If", b"Loop", b"Scan", b"SequenceMap",
    # arrays out of nothing
    b"Bernoulli", b"CenterCropPad", b"ConstantOfShape", b"Expand", b"EyeLike", b"MaxUnpool",
    b"Multinomial", b"OneHot", b"Pad", b"RandomNormal", b"RandomNormalLike", b"RandomUniform",
    b"RandomUniformLike", b"Range", b"Resize", b"Tile", b"Upsample",
    # text, files, sequences
    b"ImageDecoder", b"RegexFullMatch", b"StringConcat", b"StringNormalizer", b"StringSplit",
    b"TfIdfVectorizer", b"ConcatFromSequence", b"SplitToSequence", b"SequenceConstruct",
    b"SequenceEmpty", b"SequenceInsert",
    # arrays inside that are larger than inputs and outputs
    b"Attention", b"ConvInteger", b"ConvTranspose", b"DeformConv", b"Einsum", b"QLinearConv",
}  # fmt: skip
_RECURRENT = (b"GRU", b"LSTM", b"RNN")
_GATES = 8  # arrays of the size of its output that a recurrent layer works with: 4 gates, 4 states
_BYTES = {"double": 8, "int64": 8, "uint64": 8, "complex64": 8, "complex128": 16}  # others: 4


class Graph(NamedTuple):
    """What was read of a serialized model, once."""

    rest: list  # fields of the model that are not the graph, as they stand
    kept: list  # fields of the graph that declare neither inputs nor outputs
    nodes: list
    weights: dict  # name -> shape


class _Node(NamedTuple):
    op: bytes
    given: list
    results: list


def read_graph(model: bytes) -> Graph:
    """Read a model; refuse control flow, functions, other files, and arrays made out of nothing.

    Parameters
    ----------
    model : bytes
        A serialized ``onnx.ModelProto``.

    Returns
    -------
    Graph

    Raises
    ------
    CorruptFileError
        For those, and for what is no such model.
    """
    found = Graph([], [], [], {})
    for number, value, start, end in _fields(model):
        if number == _FUNCTIONS:
            raise CorruptFileError("the graph of a quantized model has functions of its own.")
        if number == _GRAPH:
            _add_graph(value, found)
        else:
            found.rest.append(model[start:end])
    if len(found.nodes) > _MOST_NODES:
        raise CorruptFileError(f"the graph of a quantized model has {len(found.nodes)} nodes.")
    return found


def _add_graph(data, found):
    for number, value, start, end in _fields(data):
        if number == _NODE:
            found.nodes.append(_node(value))
        elif number == _INITIALIZER:
            name, shape = _tensor(value)
            found.weights[name] = shape
        elif number in _DECLARES:
            continue
        elif number == _SPARSE:
            raise CorruptFileError("the graph of a quantized model has sparse weights.")
        found.kept.append(data[start:end])


def _tensor(data):
    """(name, shape) of weights that stand in the graph."""
    names, dims = [""], list[int]()
    for number, value, _, _ in _fields(data):
        if number == _DIMS:
            dims += [value] if isinstance(value, int) else _packed(value)
        elif number == _NAME:
            names.append(value.decode())
        elif number == _EXTERNAL or (number == _LOCATION and value):
            raise CorruptFileError(
                "the graph of a quantized model has its weights in another file."
            )
    return names[-1], dims


def _node(data):
    ops, given, results = [b""], [], []
    for number, value, _, _ in _fields(data):
        if number == _GIVEN:
            given.append(value.decode())
        elif number == _RESULT:
            results.append(value.decode())
        elif number == _ATTRIBUTE:
            _check_attribute(value)
        elif number == _OP:
            ops.append(value)
            if value in _REFUSED:
                raise CorruptFileError(
                    f"the graph of a quantized model has the operator {value.decode()!r}, which "
                    "networks do without."
                )
        elif number == _DOMAIN and value not in _DOMAINS:
            raise CorruptFileError(
                "the graph of a quantized model has operators of another domain."
            )
    if len(ops) > 2:  # readers may differ in which of them they believe
        raise CorruptFileError("the graph of a quantized model has a node of two operators.")
    return _Node(ops[-1], given, results)


def _check_attribute(data):
    """Refuse what a constant may hold besides numbers: graphs, sparse arrays, which the runtime
    fills up while it opens the model, and arrays that lie in another file."""
    for number, value, _, _ in _fields(data):
        if number in _INNER:
            raise CorruptFileError("the graph of a quantized model has graphs inside.")
        if number in _SPARSE_VALUES:
            raise CorruptFileError("the graph of a quantized model has sparse weights.")
        if number in _VALUES:
            _tensor(value)


def activations(
    graph: Graph,
    shape: tuple[int, int],
    weights: dict[str, list[int]],
    *,
    of_row: bool = False,
) -> int:
    """Bytes of everything that a graph works out for one row, told without working it out.

    Parameters
    ----------
    graph : Graph
        Of :func:`read_graph`.
    shape : (steps, features)
        Of a row.
    weights : dict of str to list of int
        Shapes of the eight-bit weights that the graph lacks.
    of_row : bool, default=False
        Whether to leave out what is the same for every row, such as weights that become floats.

    Returns
    -------
    int

    Raises
    ------
    CorruptFileError
        When a shape depends on the values of a row, or none fits.
    """
    known, told = {**graph.weights, **weights}, {}
    for one in _outputs(_declared(graph, shape, weights)):
        if not _is_told(one):
            raise CorruptFileError(
                f"the graph of a quantized model has {one.name!r} of a shape that only its values "
                f"tell: {one.shape}, {one.type}."
            )
        known[one.name] = one.shape
        told[one.name] = math.prod(one.shape) * _BYTES.get(one.type[7:-1], 4)
    nodes = _of_row(graph.nodes) if of_row else graph.nodes
    return sum(_worked_out(node, known, told) for node in nodes)


def _of_row(nodes):
    """The nodes whose results depend on the row; a node stands after those that it takes from."""
    moved, found = {"X"}, []
    for node in nodes:
        if not moved.isdisjoint(node.given):
            moved.update(node.results)
            found.append(node)
    return found


def _is_told(output):
    """Whether the runtime knows how large an output is."""
    whole = all(type(size) is int and size >= 0 for size in output.shape)
    return whole and output.type.startswith("tensor(")


def _worked_out(node, known, told):
    """Bytes of the results of a node, and of what it needs besides."""
    size = sum(told[name] for name in node.results if name)
    if node.op in _RECURRENT:
        if not node.results or not node.results[0]:
            raise CorruptFileError("the graph of a quantized model has a layer without its steps.")
        return _GATES * size
    if node.op == b"Conv":  # neighbours side by side, for every step of the output
        weight, steps = known[node.given[1]], known[node.results[0]][2:]
        return size + 4 * math.prod(weight[1:]) * math.prod(steps)
    return size


def _packed(data):
    """The whole numbers of a packed field."""
    found, place = [], 0
    while place < len(data):
        value, place = _varint(data, place)
        found.append(value)
    return found


def _declared(graph, shape, weights):
    """The model with one row for input, weights by their shapes, and every result as output."""
    inputs = [_value("X", _FLOAT, (1, *shape))]
    inputs += [_value(name, _INT8, sizes) for name, sizes in weights.items()]
    names = [name.encode() for node in graph.nodes for name in node.results if name]
    told = [field(_INPUT, one) for one in inputs]
    told += [field(_OUTPUT, field(1, name)) for name in names]
    return b"".join([*graph.rest, field(_GRAPH, b"".join([*graph.kept, *told]))])


def _value(name, kind, sizes):
    dims = b"".join(field(1, b"\x08" + varint(size)) for size in sizes)
    tensor = b"\x08" + varint(kind) + field(2, dims)
    return field(1, name.encode()) + field(2, field(1, tensor))


class _Output(NamedTuple):
    """What the runtime says of an output."""

    name: str
    shape: list
    type: str


def _outputs(model):
    """What the runtime says of the outputs of a model, of which nothing is worked out."""
    runtime = require("onnxruntime", extra="deploy", caller="QuantizedClassifier")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        found = _outputs_when_loaded(model, options)
        if found is None or not all(map(_is_told, found)):  # the public way has the last word
            session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            found = _read(session.get_outputs())
    except Exception as error:  # the runtime's own exceptions have no common base
        raise CorruptFileError(
            f"ONNX Runtime {runtime.__version__} cannot open the model: {error}"
        ) from error
    return found


def _read(outputs):
    """The runtime makes a value anew whenever it is asked for: each is read once."""
    return [_Output(one.name, one.shape, one.type) for one in outputs]


def _outputs_when_loaded(model, options):
    """The same before the runtime gets ready to compute, which takes as long again; None where this
    version cannot be asked."""
    try:
        from onnxruntime.capi.onnxruntime_pybind11_state import InferenceSession

        return _read(InferenceSession(options, model, False, False).outputs_meta)
    except (ImportError, AttributeError, TypeError):
        return None


def field(number: int, payload: bytes) -> bytes:
    """A field of a message that holds bytes."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    """A whole number as protocol buffers write it."""
    if value < 128:  # most of them
        return _ONE_BYTE[value]
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


_ONE_BYTE = [bytes([value]) for value in range(128)]  # a varint has 7 bits a byte


def _fields(data):
    """[(number, value, start, end)] of a serialized message: values are ints or bytes.

    Numbers of one byte, which most are, are read in place: a call for each would take longer than
    all else that is checked of a graph.
    """
    found, start, size = [], 0, len(data)
    while start < size:
        key, place = data[start], start + 1
        if key > 127:
            key, place = _varint(data, start)
        kind = key & 7
        if kind == 2:
            length = data[place] if place < size else 128
            place += 1
            if length > 127:
                length, place = _varint(data, place - 1)
            end = place + length
            value = data[place:end]
        elif kind == 0:
            value, end = _varint(data, place)
        elif kind in (1, 5):
            value, end = 0, place + (8 if kind == 1 else 4)
        else:
            raise CorruptFileError("the graph of a quantized model is no message.")
        if end > size:
            raise CorruptFileError("the graph of a quantized model is truncated.")
        found.append((key >> 3, value, start, end))
        start = end
    return found


def _varint(data, place):
    """(value, where it ends) of a whole number."""
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
    raise CorruptFileError("the graph of a quantized model is truncated.")
