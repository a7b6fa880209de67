"""What a serialized ONNX graph asks for, read without the library that wrote it.

A graph from a stranger's file may loop for ever, or make a large array out of nothing. Graphs of
networks do neither, so operators that can are refused before the runtime sees them.
"""

from ..exceptions import CorruptFileError

__all__ = ["check_graph"]

_MOST_NODES = 100_000
_GRAPH, _FUNCTIONS = 7, 25  # fields of a model, in onnx.proto
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of a graph
_OP, _ATTRIBUTE, _DOMAIN = 4, 5, 7  # of a node
_INNER = (6, 11)  # of an attribute: a graph, graphs
_LOCATION, _EXTERNAL = 14, 13  # of a tensor: where its data are
_DOMAINS = (b"", b"ai.onnx", b"com.microsoft")
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
}  # fmt: skip


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


def _fields(data):
    """(number, value) of a serialized message: an int, or a view of bytes."""
    data, place = memoryview(data), 0
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
        yield key >> 3, value


def _varint(data, place):
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
    raise CorruptFileError("the graph of a quantized model is truncated.")
