"""What each parameter of each function of the array API refuses, and the class of the error.

The classes are those of MLX, but where it lets a failed cast of C++ reach the user, and where it takes any UPLO.

A line of names is followed by their parameters as `name:kind`, in order. Those after `*` are keywords. `?` after a kind
means that None is taken, too; `=value` is what is given while another parameter is wrong, where it is not the kind's
own; `!` marks a keyword that is always given. Of the kind `other` nothing is tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

Errors: TypeAlias = Mapping[str, type[Exception]]


class Kind(NamedTuple):
    """A value that is right, and values that are not with their errors; None is a TypeError unless `?` allows it."""

    right: str
    wrong: Errors


NO_ARRAY: Errors = dict.fromkeys(('"a"', "[1.0]", "object()", "{}"), TypeError)
NO_OPERAND: Errors = dict.fromkeys(('"a"', "[1.0]", "object()", "{}"), ValueError)
NO_INTEGER: Errors = dict.fromkeys(('"a"', "1.5", "[1.5]", "object()", "mx.float32"), TypeError)
NO_INTEGERS: Errors = dict.fromkeys(('"a"', "1.5", "[1.5]", "[None]", "object()"), TypeError)
NO_NUMBER: Errors = dict.fromkeys(
    ('"a"', "1j", "np.complex64(1j)", "[1.0]", "object()", "mx.float32", "np.ones(2)"), TypeError
)

KINDS = {
    "array": Kind("table", NO_ARRAY),
    "operand": Kind("table", NO_OPERAND),
    "arrays": Kind("[table, table]", dict.fromkeys(("3", "[None]", '["a"]', "object()"), TypeError)),
    "int": Kind("1", {**NO_INTEGER, "[1]": TypeError}),
    "axis": Kind("1", {**NO_INTEGER, "[1]": TypeError, "9": IndexError, "-9": IndexError}),
    "axes": Kind("1", {**NO_INTEGERS, "9": IndexError, "(0, 0)": ValueError}),
    "repeatable": Kind("1", {**NO_INTEGERS, "9": IndexError}),
    "ints": Kind("(1, 0)", NO_INTEGERS),
    "shape": Kind("(4, 3)", {**NO_INTEGERS, "(2, -3)": ValueError}),
    "flag": Kind("True", dict.fromkeys(("1", '"a"', "[True]", "np.ones(2)"), TypeError)),
    "text": Kind('"a"', dict.fromkeys(("1", '["a"]', "object()"), TypeError)),
    "word": Kind('"a"', {**dict.fromkeys(("1", '["a"]', "object()"), TypeError), '"nonsense"': ValueError}),
    "dtype": Kind("mx.float32", dict.fromkeys(('"float32"', "1", "[1]", "np.float32", "object()"), TypeError)),
    "number": Kind("1.0", NO_NUMBER),
    "order": Kind("2", {value: error for value, error in NO_NUMBER.items() if value != '"a"'}),
    "key": Kind("mx.random.key(1)", {**dict.fromkeys(("3", '"a"', "[0, 1]"), TypeError), "table": ValueError}),
    "seed": Kind("3", {**NO_INTEGER, "-1": TypeError, "2**64": TypeError}),
    "function": Kind("(lambda x: 2 * x)", dict.fromkeys(("3", '"a"', "[]", "{}"), TypeError)),
}

VALUES = {
    "table": "mx.arange(12.0).reshape(3, 4)",
    "unit": "mx.array([[0.25, 0.5]])",
    "whole": "mx.array([1, 2])",
    "bytes": "mx.array([1, 2], mx.uint8)",
    "row": "mx.ones((4,))",
    "line": "mx.arange(64.0)",
    "square": "mx.array([[4.0, 1.0], [1.0, 3.0]])",
    "blocks": "mx.ones((64, 64))",
    "mask": "mx.ones((2, 2), mx.bool_)",
    "column": "mx.array([[0], [1], [2]])",
    "cut": "mx.ones((1, 2))",
    "start": "mx.array([1])",
    "places": "mx.array([0, 1], mx.uint32)",
    "classes": "mx.array([0, 1, 2])",
    "segments": "mx.array([[0, 2], [2, 4]], mx.uint32)",
    "stacked": "mx.ones((2, 4, 4))",
    "signal": "mx.ones((1, 8, 2))",
    "filters": "mx.ones((2, 3, 2))",
    "image": "mx.ones((1, 8, 8, 2))",
    "filters2": "mx.ones((2, 3, 3, 2))",
    "volume": "mx.ones((1, 5, 5, 5, 2))",
    "filters3": "mx.ones((2, 3, 3, 3, 2))",
    "heads": "mx.ones((1, 2, 3, 4))",
    "keys": "mx.ones((1, 2, 2, 32))",
    "gates": "mx.ones((1, 2, 2))",
    "window": "mx.ones((16,))",
    "spectrum": "mx.ones((9, 13), mx.complex64)",
    "weights": "mx.ones((32, 64))",
    "packed": "mx.quantize(mx.ones((32, 64)), 32, 4)[0]",
    "scales": "mx.quantize(mx.ones((32, 64)), 32, 4)[1]",
    "rows": "mx.ones((2, 64))",
    "triple": "mx.array([1.0, 2.0, 3.0])",
    "scalars": "[mx.array(1.0)]",
}

FUNCTIONS = """
abs arccos arccosh arcsin arcsinh arctan arctanh ceil cos cosh degrees erf erfinv exp expm1 floor log log10 log1p log2
logical_not negative radians reciprocal rsqrt sigmoid sin sinh sqrt square tan tanh isfinite isinf isnan isneginf
isposinf real imag conj conjugate sign
    a:operand=unit
bitwise_invert
    a:operand=whole
positive stop_gradient matrix_transpose trunc
    a:array=unit
add subtract multiply divide divmod equal not_equal greater greater_equal less less_equal floor_divide remainder
arctan2 logaddexp maximum minimum power logical_and logical_or logical_xor
    a:operand b:operand
bitwise_and bitwise_or bitwise_xor left_shift right_shift
    a:operand=whole b:operand=whole
kron inner outer
    a:array=row b:array=row
matmul linalg.solve
    a:array=square b:array=square
array_equal
    a:operand b:operand * equal_nan:flag
allclose isclose
    a:array b:array rtol:number atol:number * equal_nan:flag
addmm
    c:array=square a:array=square b:array=square alpha:number beta:number
all any logsumexp max min mean median prod sum minmax
    a:array axis:axes? keepdims:flag
argmax argmin
    a:array axis:axis? keepdims:flag
count_nonzero
    a:array * axis:axes? keepdims:flag
var std
    a:array axis:axes? keepdims:flag ddof:int
cummax cummin logcumsumexp
    a:array axis:axis? * reverse:flag inclusive:flag
cumsum cumprod
    a:array axis:axis? * reverse:flag inclusive:flag dtype:dtype?
argpartition partition
    a:array kth:int axis:axis?
argsort sort
    a:array axis:axis?
topk
    a:array k:int axis:axis?
expand_dims
    a:array axis:axes
flip
    a:array axis:repeatable?
softmax
    a:array axis:axes? * precise:flag
squeeze
    a:array=cut axis:axes?=0
as_strided
    a:array shape:shape?=(2,2) strides:ints?=(1,1) offset:int
astype
    a:array dtype:dtype
view
    a:operand dtype:dtype
bartlett blackman hamming hanning
    M:int=5
block_masked_mm
    a:array=blocks b:array=blocks block_size:int=32 mask_out:array?=mask mask_lhs:array?=mask mask_rhs:array?=mask
broadcast_to
    a:operand shape:ints=(2,3,4)
concatenate concat stack
    arrays:arrays axis:axis?
contiguous
    a:array allow_col_major:flag
conv1d
    input:array=signal weight:array=filters stride:ints=1 padding:ints=1 dilation:ints=1 groups:int
conv2d
    input:array=image weight:array=filters2 stride:ints=1 padding:ints=1 dilation:ints=1 groups:int
conv3d
    input:array=volume weight:array=filters3 stride:ints=1 padding:ints=1 dilation:ints=1 groups:int
conv_general
    input:array=signal weight:array=filters stride:ints=1 padding:ints=1 kernel_dilation:ints=1 input_dilation:ints=1
    groups:int flip:flag
conv_transpose1d
    input:array=signal weight:array=filters stride:ints=1 padding:ints=1 dilation:ints=1 output_padding:ints=0
    groups:int
conv_transpose2d
    input:array=image weight:array=filters2 stride:ints=1 padding:ints=1 dilation:ints=1 output_padding:ints=0
    groups:int
conv_transpose3d
    input:array=volume weight:array=filters3 stride:ints=1 padding:ints=1 dilation:ints=1 output_padding:ints=0
    groups:int
convolve
    a:array=row v:array=row mode:word="same"
diag
    a:array k:int
diagonal
    a:array offset:int axis1:axis=0 axis2:axis
trace
    a:array offset:int axis1:axis=0 axis2:axis dtype:dtype?
diff
    a:array n:int axis:axis
eye tri
    n:int m:int? k:int dtype:dtype?
identity
    n:int dtype:dtype?
tril triu
    x:array k:int
flatten
    a:array start_axis:int=0 end_axis:int
unflatten
    a:array axis:axis shape:ints=(2,2)
from_fp8
    x:array=bytes dtype:dtype
to_fp8
    x:array
full
    shape:shape vals:operand=1.0 dtype:dtype?
full_like
    a:array vals:operand=1.0 dtype:dtype?
zeros ones
    shape:shape dtype:dtype?
zeros_like ones_like
    a:array dtype:dtype?
gather_mm
    a:array=stacked b:array=stacked lhs_indices:array?=places rhs_indices:array?=places * sorted_indices:flag
segmented_mm
    a:array b:array=stacked[0] segments:array=segments
hadamard_transform
    a:array=row scale:number?
linspace
    start:number=0.0 stop:number num:int? endpoint:flag dtype:dtype?
moveaxis
    a:array source:axis=0 destination:axis
swapaxes
    a:array axis1:axis=0 axis2:axis
nan_to_num
    a:operand nan:number posinf:number? neginf:number?
pad
    a:array pad_width:ints=1 mode:word="constant" constant_values:operand=1.0
permute_dims transpose
    a:array axes:ints?
put_along_axis
    a:array indices:array=column values:array=column axis:axis?
take_along_axis
    a:array indices:array=column axis:axis?
take
    a:array indices:array=whole axis:axis?
repeat
    array:array repeats:int axis:axis?
reshape
    a:array shape:ints=(4,3)
roll
    a:array shift:ints=1 axis:repeatable?
round
    a:operand decimals:int
searchsorted
    sorted_sequence:array=row values:array side:word="left" *
slice
    a:array start_indices:array=start axes:ints=(0,) slice_size:ints=(1,2)
slice_update
    a:array update:array=cut start_indices:array=start axes:ints=(0,)
split
    a:array indices_or_sections:ints=2 axis:axis
tensordot
    a:array b:array=stacked[0] axes:ints=1
tile
    a:array reps:ints=2
unique
    a:array=whole size:int=2 return_index:flag return_inverse:flag return_counts:flag fill_value:operand?=0
unstack
    x:array * axis:axis
vecdot
    a:array b:array axis:axis
where
    condition:operand x:operand y:operand
einsum
    subscripts:text="ij->i" operands:array
linalg.norm
    a:array ord:order? axis:axes? keepdims:flag
linalg.cholesky linalg.cholesky_inv linalg.tri_inv
    a:array=square upper:flag
linalg.cross
    a:array=triple b:array=triple axis:axis=0
linalg.det linalg.eig linalg.eigvals linalg.inv linalg.lu linalg.lu_factor linalg.pinv linalg.qr linalg.slogdet
    a:array=square
linalg.eigh linalg.eigvalsh
    a:array=square UPLO:word="L"
linalg.solve_triangular
    a:array=square b:array=square * upper:flag
linalg.svd
    a:array=square compute_uv:flag
fft.fft fft.ifft fft.rfft fft.irfft
    a:array n:int?=4 axis:axis norm:word="ortho"
fft.fft2 fft.ifft2 fft.rfft2 fft.irfft2 fft.fftn fft.ifftn fft.rfftn fft.irfftn
    a:array s:ints?=(2,4) axes:ints?=(0,1) norm:word="ortho"
fft.fftfreq fft.rfftfreq
    n:int=4 d:number
fft.fftshift fft.ifftshift
    a:array axes:repeatable?
fft.stft
    x:array=line n_fft:int=16 hop_length:int?=4 win_length:int?=16 window:array?=window center:flag
    pad_mode:word="reflect" norm:word="ortho" onesided:flag?
fft.istft
    stft_matrix:array=spectrum n_fft:int?=16 hop_length:int?=4 win_length:int?=16 window:array?=window center:flag
    norm:word="ortho" onesided:flag? length:int?=64
fast.cross_entropy
    logits:array targets:array=classes
fast.layer_norm
    x:array weight:array?=row bias:array?=row eps:number
fast.rms_norm
    x:array weight:array?=row eps:number
fast.rope
    a:array=heads dims:int=4 * traditional:flag! base:number?! scale:number! offset:operand!=0 freqs:array?!=None
fast.scaled_dot_product_attention
    q:array=heads k:array=heads v:array=heads * scale:number! sinks:array? force_fused:flag
fast.gated_delta_update
    q:array=keys k:array=keys v:array=keys gamma:array=gates beta:array=gates initial_state:array?=None mask:array?=None
quantize
    w:array=weights group_size:int?=32 bits:int?=4 mode:word="affine" global_scale:other?=None
dequantize
    w:array=packed scales:array=scales biases:array?=scales group_size:int?=32 bits:int?=4 mode:word="affine"
    global_scale:other?=None dtype:dtype?
quantized_matmul
    x:array=rows w:array=packed scales:array=scales biases:array?=scales transpose:flag group_size:int?=32 bits:int?=4
    mode:word="affine"
random.key random.seed
    seed:seed
random.bernoulli
    p:operand=0.5 shape:shape? key:key?
random.categorical
    logits:array axis:axis=1 shape:shape?=None num_samples:int?=2 key:key?
random.gumbel
    shape:shape dtype:dtype? key:key?
random.laplace
    shape:shape dtype:dtype? loc:number scale:number key:key?
random.normal
    shape:shape dtype:dtype? loc:operand?=0.0 scale:operand?=1.0 key:key?
random.multivariate_normal
    mean:array=mx.zeros(2) cov:array=square shape:shape dtype:dtype? key:key?
random.permutation
    x:array axis:axis key:key?
random.randint
    low:operand=0 high:operand=5 shape:shape dtype:dtype?=mx.int32 key:key?
random.split
    key:key num:int
random.truncated_normal
    lower:operand=0.0 upper:operand=1.0 shape:shape? dtype:dtype? key:key?
random.uniform
    low:operand=0 high:operand=1 shape:shape dtype:dtype? key:key?
checkpoint custom_function grad value_and_grad vmap
    fun:function
compile
    fun:function inputs:other?=None outputs:other?=None shapeless:flag
jvp
    fun:function primals:arrays=scalars tangents:arrays=scalars
vjp
    fun:function primals:arrays=scalars cotangents:arrays=scalars
"""


class Parameter(NamedTuple):
    """A parameter of a function and the value, as text, that is given while another one is wrong."""

    name: str
    kind: str
    value: str
    takes_none: bool
    by_keyword: bool
    always: bool


class Call(NamedTuple):
    """A call, as text, with one wrong argument, and the class of its error."""

    text: str
    parameter: str
    value: str
    error: type[Exception]


def rows() -> Iterator[tuple[str, list[Parameter]]]:
    """Each function with its parameters."""
    names: list[str] = []
    words: list[str] = []
    for line in [*FUNCTIONS.split("\n"), "end"]:
        if line.startswith(" "):
            words += line.split()
            continue
        if words:
            yield from ((name, parameters(words)) for name in names)
            names, words = [], []
        names += line.split()


def parameters(words: list[str]) -> list[Parameter]:
    found: list[Parameter] = []
    by_keyword = False
    for word in words:
        if word == "*":
            by_keyword = True
            continue
        name, _, rest = word.partition(":")
        marked, _, value = rest.partition("=")
        kind = marked.rstrip("!?")
        right = value or (KINDS[kind].right if kind in KINDS else "None")
        found.append(Parameter(name, kind, right, "?" in marked, by_keyword, "!" in marked))
    return found


def calls(name: str, taken: list[Parameter]) -> Iterator[Call]:
    """A function with each of its arguments wrong in each way."""
    for wrong in taken:
        if wrong.kind in KINDS:
            errors: dict[str, type[Exception]] = dict(KINDS[wrong.kind].wrong)
            if not wrong.takes_none:
                errors["None"] = TypeError
            for value, error in errors.items():
                yield Call(f"mx.{name}({arguments(taken, wrong, value)})", wrong.name, value, error)


def arguments(taken: list[Parameter], wrong: Parameter, value: str) -> str:
    given = [(p, value if p is wrong else p.value) for p in taken if p is wrong or p.always or not p.by_keyword]
    return ", ".join(f"{p.name}={text}" if p.by_keyword else text for p, text in given)


def environment(mx: Any, np: Any) -> dict[str, Any]:
    """What the texts of calls name."""
    named: dict[str, Any] = {"mx": mx, "np": np}
    return {**named, **{name: eval(text, named) for name, text in VALUES.items()}}
