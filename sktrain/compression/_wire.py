"""What a serialized ONNX graph asks for, read without the library that wrote it.

A graph from a stranger's file may loop for ever, or make a large array out of nothing. Graphs of
networks do neither, so operators that can are refused before the runtime sees them. Others make
large arrays out of small ones, an outer product for example: the runtime itself tells the shape of
everything that a graph works out, before it works anything out.
"""

import math

from .._optional import require
from ..exceptions import CorruptFileError

__all__ = ["activations", "check_graph"]

_MOST_NODES = 100_000
_GRAPH, _FUNCTIONS = 7, 25  # fields of a model, in onnx.proto
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of a graph
_GIVEN, _RESULT, _OP, _ATTRIBUTE, _DOMAIN = 1, 2, 4, 5, 7  # of a node
_INPUT, _OUTPUT, _INFO = 11, 12, 13  # of a graph
_DIMS, _NAME = 1, 8  # of a tensor
_FLOAT, _INT8 = 1, 3  # types of a tensor
_INNER = (6, 11)  # of an attribute: a graph, graphs
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
    # arrays inside that are larger than what enters and leaves
    b"Attention", b"ConvInteger", b"ConvTranspose", b"DeformConv", b"Einsum", b"QLinearConv",
}  # fmt: skip
_RECURRENT = (b"GRU", b"LSTM", b"RNN")
_GATES = 8  # arrays of the size of its output that a recurrent layer works with: 4 gates, 4 states
_BYTES = {"double": 8, "int64": 8, "uint64": 8, "complex64": 8, "complex128": 16}  # others: 4


def check_graph(model: bytes) -> None:
    """Refuse a model with control flow, functions, other files, or arrays made out of nothing.

    Parameters
    ----------
    model : bytes
        A serialized ``onnx.ModelProto``.

    Raises
    ------
    CorruptFileError
        For those, and for what is no such model.
    """
    nodes = 0
    for number, value in _fields(model):
        if number == _FUNCTIONS:
            raise CorruptFileError("the graph of a quantized model has functions of its own.")
        for inner, part in _fields(value) if number == _GRAPH else ():
            if inner == _SPARSE:
                raise CorruptFileError("the graph of a quantized model has sparse weights.")
            if inner == _INITIALIZER:
                _check_tensor(part)
            elif inner == _NODE:
                nodes += 1
                _check_node(part)
    if nodes > _MOST_NODES:
        raise CorruptFileError(f"the graph of a quantized model has {nodes} nodes.")


def _check_tensor(data):
    if any(
        number == _EXTERNAL or (number == _LOCATION and value) for number, value in _fields(data)
    ):
        raise CorruptFileError("the graph of a quantized model has its weights in another file.")


def _check_node(data):
    for number, value in _fields(data):
        if number == _OP and bytes(value) in _REFUSED:
            raise CorruptFileError(
                f"the graph of a quantized model has the operator {bytes(value).decode()!r}, which "
                "networks do without."
            )
        if number == _DOMAIN and bytes(value) not in _DOMAINS:
            raise CorruptFileError(
                "the graph of a quantized model has operators of another domain."
            )
        inner = _fields(value) if number == _ATTRIBUTE else ()
        if any(one in _INNER for one, _ in inner):
            raise CorruptFileError("the graph of a quantized model has graphs inside.")


def activations(model: bytes, shape: tuple[int, int], weights: dict[str, list[int]]) -> int:
    """Bytes of everything that a graph works out for one row, told without working it out.

    Parameters
    ----------
    model : bytes
        A serialized ``onnx.ModelProto`` that :func:`check_graph` let pass.
    shape : (steps, features)
        Of a row.
    weights : dict of str to list of int
        Shapes of the eight-bit weights that the graph lacks.

    Returns
    -------
    int

    Raises
    ------
    CorruptFileError
        When a shape depends on the values of a row, or none fits.
    """
    graph = b"".join(value for number, value in _fields(model) if number == _GRAPH)
    nodes = [list(_fields(node)) for number, node in _fields(graph) if number == _NODE]
    known = {**_initializers(graph), **weights}
    told = {}
    for one in _outputs(_declared(model, graph, nodes, shape, weights)):
        whole = all(type(size) is int and size >= 0 for size in one.shape)
        if not whole or not one.type.startswith("tensor("):
            raise CorruptFileError(
                f"the graph of a quantized model has {one.name!r} of a shape that only its values "
                f"tell: {one.shape}, {one.type}."
            )
        known[one.name] = one.shape
        told[one.name] = math.prod(one.shape), _BYTES.get(one.type[7:-1], 4)
    return sum(_worked_out(node, known, told) for node in nodes)


def _worked_out(node, known, told):
    """Bytes of the results of a node, and of what it needs besides."""
    given, results = _names(node, _GIVEN), _names(node, _RESULT)
    (op,) = [bytes(value) for number, value in node if number == _OP] or [b""]
    sizes = [math.prod(told[name]) for name in results if name]
    if op in _RECURRENT:
        if not results or not results[0]:
            raise CorruptFileError("the graph of a quantized model has a layer without its steps.")
        return _GATES * sum(sizes)
    if op == b"Conv":  # neighbours side by side, for every step of the output
        weight, steps = known[given[1]], known[results[0]][2:]
        return sum(sizes) + 4 * math.prod(weight[1:]) * math.prod(steps)
    return sum(sizes)


def _names(node, field):
    return [bytes(value).decode() for number, value in node if number == field]


def _initializers(graph):
    """Name -> shape of the weights that a graph holds."""
    found = {}
    for number, tensor in _fields(graph):
        if number == _INITIALIZER:
            parts = list(_fields(tensor))
            dims = [value for part, value in parts if part == _DIMS]
            packed = [size for part in dims if not isinstance(part, int) for size in _packed(part)]
            found[_names(parts, _NAME)[0]] = packed or dims
    return found


def _packed(data):
    place = 0
    while place < len(data):
        value, place = _varint(data, place)
        yield value


def _declared(model, graph, nodes, shape, weights):
    """The model with one row for input, weights by their shapes, and every result as output."""
    kept = b"".join(
        raw for number, raw in _raw_fields(graph) if number not in (_INPUT, _OUTPUT, _INFO)
    )
    inputs = [_value("X", _FLOAT, (1, *shape))]
    inputs += [_value(name, _INT8, sizes) for name, sizes in weights.items()]
    outputs = [field(1, name.encode()) for node in nodes for name in _names(node, _RESULT) if name]
    told = [field(_INPUT, one) for one in inputs] + [field(_OUTPUT, one) for one in outputs]
    rest = b"".join(raw for number, raw in _raw_fields(model) if number != _GRAPH)
    return rest + field(_GRAPH, kept + b"".join(told))


def _value(name, kind, sizes):
    dims = b"".join(field(1, b"\x08" + varint(size)) for size in sizes)
    tensor = b"\x08" + varint(kind) + field(2, dims)
    return field(1, name.encode()) + field(2, field(1, tensor))


def _outputs(model):
    """What the runtime says of the outputs of a model, of which nothing is worked out."""
    runtime = require("onnxruntime", extra="deploy", caller="QuantizedClassifier")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions have no common base
        raise CorruptFileError(
            f"ONNX Runtime {runtime.__version__} cannot open the model: {error}"
        ) from error
    return session.get_outputs()


def field(number: int, payload: bytes) -> bytes:
    """A field of a message that holds bytes."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    """A whole number as protocol buffers write it."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _raw_fields(data):
    """(number, bytes of the whole field) of a serialized message."""
    data, start = memoryview(data), 0
    for number, _, end in _placed_fields(data):
        yield number, data[start:end]
        start = end


def _fields(data):
    """(number, value) of a serialized message: an int, or a view of bytes."""
    for number, value, _ in _placed_fields(memoryview(data)):
        yield number, value


def _placed_fields(data):
    """(number, value, where the next field begins) of a serialized message."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
        elif kind in (1, 5):
            value, place = 0, place + (8 if kind == 1 else 4)
        elif kind == 2:
            length, place = _varint(data, place)
            value, place = data[place : place + length], place + length
        else:
            raise CorruptFileError("the graph of a quantized model is no message.")
        if place > len(data):
            raise CorruptFileError("the graph of a quantized model is truncated.")
        yield key >> 3, value, place


def _varint(data, place):
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
    raise CorruptFileError("the graph of a quantized model is truncated.")
