"""Loss functions.

Each computes a loss for every element, or for every row, and then reduces: ``"none"`` returns all of them,
``"mean"`` their mean, ``"sum"`` their sum. A function to differentiate needs one of the latter two.
"""

from __future__ import annotations

import math
from typing import Literal

import mlx.core as mx
from mlx.nn.layers.checks import go_together

Reduction = Literal["none", "mean", "sum"]

_REDUCTIONS = {"none": lambda loss: loss, "mean": mx.mean, "sum": mx.sum}


def _reduce(api: str, loss: mx.array, reduction: str) -> mx.array:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"[{api}] Invalid reduction '{reduction}'; it must be one of {list(_REDUCTIONS)}.")
    return _REDUCTIONS[reduction](loss)


def _check_arrays(api: str, **arrays: mx.array) -> None:
    for name, array in arrays.items():
        if not hasattr(array, "shape"):
            raise TypeError(
                f"[{api}] {name} must be an array, got {type(array).__name__}; convert it with mx.array first."
            )


def _check_same_shape(api: str, **arrays: mx.array) -> None:
    """Raise unless all arrays have one shape; broadcasting a loss by accident is a well-known trap."""
    _check_arrays(api, **arrays)
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"[{api}] Shapes must be the same, got {shapes}.")


def _check_broadcast(api: str, **arrays: mx.array) -> None:
    """Raise unless the arrays have shapes that combine; numbers go with all."""
    shapes = {name: array.shape for name, array in arrays.items() if hasattr(array, "shape")}
    if len(set(shapes.values())) > 1 and not go_together(*shapes.values()):
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"[{api}] Shapes must be the same or broadcast, got {listed}.")


def _check_axis(api: str, axis: int, **arrays: mx.array) -> None:
    _check_arrays(api, **arrays)
    for name, array in arrays.items():
        if isinstance(axis, int) and not -array.ndim <= axis < array.ndim:
            raise IndexError(f"[{api}] Invalid axis {axis} for {name} of shape {array.shape}.")


def _sum(api: str, x: mx.array, axis: int) -> mx.array:
    _check_axis(api, axis, arrays=x)
    return mx.sum(x, axis=axis)


def _of_class(api: str, values: mx.array, targets: mx.array, axis: int) -> mx.array:
    """The values of the target classes, of which ``targets`` are the indices along ``axis``."""
    if not isinstance(targets, mx.array):
        raise TypeError(f"[{api}] targets must be an mx.array, got {type(targets).__name__}; convert it with mx.array.")
    if not mx.issubdtype(targets.dtype, mx.integer):
        raise ValueError(
            f"[{api}] targets must be class indices, which are integers, got {targets.dtype}; convert them with "
            "targets.astype(mx.int32)."
        )
    return mx.take_along_axis(values, mx.expand_dims(targets, axis), axis).squeeze(axis)


def _weighted(api: str, loss: mx.array, weights: mx.array | None) -> mx.array:
    if weights is None:
        return loss
    _check_arrays(api, weights=weights)
    if weights.shape != loss.shape:
        raise ValueError(
            f"[{api}] weights must have the shape of the unreduced loss, {loss.shape}, got {weights.shape}."
        )
    return loss * weights


def cross_entropy(
    logits: mx.array,
    targets: mx.array,
    weights: mx.array | None = None,
    axis: int = -1,
    label_smoothing: float = 0.0,
    reduction: Reduction = "none",
) -> mx.array:
    """Compute -sum_k t_k log softmax(logits)_k, the cross entropy of a classification.

    Args:
        logits: Unnormalised log probabilities of the classes along ``axis``.
        targets: Class indices, of the shape of ``logits`` without ``axis``, or probabilities t of the shape
            of ``logits``.
        weights: Optional factors for each loss, of the shape of ``logits`` without ``axis``.
        axis: The axis of the classes.
        label_smoothing: Part of the probability, at least 0 and less than 1, that is taken from t and spread
            evenly over all classes.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the shape of ``logits`` without ``axis``, or a scalar.

    Raises:
        ValueError: If shapes do not fit, ``label_smoothing`` or ``reduction`` is out of range, or class indices are no
            integers.
        IndexError: If ``logits`` have no such axis.

    Example:
        >>> import mlx.core as mx
        >>> cross_entropy(mx.array([[2.0, -1.0], [-1.0, 2.0]]), mx.array([0, 0]))
        array([0.0485873, 3.04859], dtype=float32)
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"[cross_entropy] label_smoothing must be at least 0 and less than 1, got {label_smoothing}.")
    _check_arrays("cross_entropy", targets=targets)
    _check_axis("cross_entropy", axis, logits=logits)
    targets_are_probabilities = targets.ndim == logits.ndim
    expected = list(logits.shape)
    if not targets_are_probabilities:
        expected.pop(axis)
    if targets.shape != tuple(expected):
        raise ValueError(
            f"[cross_entropy] targets of shape {targets.shape} do not match logits of shape {logits.shape}: "
            "expected class indices without the class axis, or probabilities of the same shape."
        )
    # Only gaps between logits matter; without the shift a small loss drowns in the rounding of large ones.
    shifted = logits - mx.stop_gradient(mx.max(logits, axis=axis, keepdims=True))
    if targets_are_probabilities:
        score = mx.sum(shifted * targets, axis=axis)
    else:
        score = _of_class("cross_entropy", shifted, targets, axis)
    if label_smoothing > 0:
        score = (1 - label_smoothing) * score + label_smoothing * mx.mean(shifted, axis=axis)
    loss = mx.logsumexp(shifted, axis=axis) - score
    return _reduce("cross_entropy", _weighted("cross_entropy", loss, weights), reduction)


def binary_cross_entropy(
    inputs: mx.array,
    targets: mx.array,
    weights: mx.array | None = None,
    with_logits: bool = True,
    reduction: Reduction = "mean",
) -> mx.array:
    """Compute -t log(p) - (1 - t) log(1 - p), the cross entropy of a yes or no.

    Args:
        inputs: Logits, of which p is the sigmoid, or the probabilities p themselves.
        targets: Array t between 0 and 1, of the shape of ``inputs``.
        weights: Optional factors for each loss, of the shape of ``inputs``.
        with_logits: Whether ``inputs`` are logits. Probabilities have their logarithms cut off at -100, so
            that 0 and 1 give a finite loss.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the shape of ``inputs``, or a scalar.

    Raises:
        ValueError: If shapes differ or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> binary_cross_entropy(mx.array([0.0, 200.0]), mx.array([1, 1]), reduction="none")
        array([0.693147, 0], dtype=float32)
    """
    _check_same_shape("binary_cross_entropy", inputs=inputs, targets=targets)
    if with_logits:
        loss = mx.logaddexp(0.0, inputs) - inputs * targets
    else:
        log_p = mx.maximum(mx.log(inputs), -100)
        log_not_p = mx.maximum(mx.log(1 - inputs), -100)
        loss = -(targets * log_p + (1 - targets) * log_not_p)
    return _reduce("binary_cross_entropy", _weighted("binary_cross_entropy", loss, weights), reduction)


def l1_loss(predictions: mx.array, targets: mx.array, reduction: Reduction = "mean") -> mx.array:
    """Compute abs(predictions - targets).

    Args:
        predictions: Array of any shape.
        targets: Array of the same shape.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the shape of ``predictions``, or a scalar.

    Raises:
        ValueError: If shapes differ or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> l1_loss(mx.array([1.0, 2.0]), mx.array([3.0, -1.0]))
        array(2.5, dtype=float32)
    """
    _check_same_shape("l1_loss", predictions=predictions, targets=targets)
    return _reduce("l1_loss", mx.abs(predictions - targets), reduction)


def mse_loss(predictions: mx.array, targets: mx.array, reduction: Reduction = "mean") -> mx.array:
    """Compute (predictions - targets)^2.

    Args:
        predictions: Array of any shape.
        targets: Array of the same shape.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the shape of ``predictions``, or a scalar.

    Raises:
        ValueError: If shapes differ or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> mse_loss(mx.array([1.0, 2.0]), mx.array([3.0, -1.0]))
        array(6.5, dtype=float32)
    """
    _check_same_shape("mse_loss", predictions=predictions, targets=targets)
    return _reduce("mse_loss", mx.square(predictions - targets), reduction)


def nll_loss(inputs: mx.array, targets: mx.array, axis: int = -1, reduction: Reduction = "none") -> mx.array:
    """Compute -inputs[target], the negative log likelihood of the target class.

    Args:
        inputs: Log probabilities of the classes along ``axis``.
        targets: Class indices, of the shape of ``inputs`` without ``axis``.
        axis: The axis of the classes.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the shape of ``targets``, or a scalar.

    Raises:
        ValueError: If shapes do not fit, ``reduction`` is unknown or ``targets`` are no integers.
        IndexError: If ``inputs`` have no such axis.

    Example:
        >>> import mlx.core as mx
        >>> nll_loss(mx.array([[-0.5, -1.0]]), mx.array([1]))
        array([1], dtype=float32)
    """
    _check_arrays("nll_loss", targets=targets)
    _check_axis("nll_loss", axis, inputs=inputs)
    expected = list(inputs.shape)
    expected.pop(axis)
    pairs = zip(expected, targets.shape, strict=False)
    if len(expected) != targets.ndim or any(a != b and 1 not in (a, b) for a, b in pairs):
        raise ValueError(
            f"[nll_loss] targets of shape {targets.shape} do not match inputs of shape {inputs.shape}: expected class "
            f"indices without the class axis, of shape {tuple(expected)}."
        )
    return _reduce("nll_loss", -_of_class("nll_loss", inputs, targets, axis), reduction)


def gaussian_nll_loss(
    inputs: mx.array,
    targets: mx.array,
    vars: mx.array,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> mx.array:
    """Compute (log v + (targets - inputs)^2 / v) / 2, the negative log likelihood of a normal distribution.

    Args:
        inputs: Means.
        targets: Observed values, of the same shape.
        vars: Variances, of the same shape; v is the greater of them and ``eps``.
        full: Whether to add the constant log(2 pi) / 2.
        eps: Least variance.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the shape of ``inputs``, or a scalar.

    Raises:
        ValueError: If shapes differ or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> gaussian_nll_loss(mx.array([1.0]), mx.array([3.0]), mx.array([1.0]))
        array(2, dtype=float32)
    """
    _check_same_shape("gaussian_nll_loss", inputs=inputs, targets=targets, vars=vars)
    variance = mx.maximum(vars, eps)
    loss = 0.5 * (mx.log(variance) + mx.square(targets - inputs) / variance)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduce("gaussian_nll_loss", loss, reduction)


def kl_div_loss(inputs: mx.array, targets: mx.array, axis: int = -1, reduction: Reduction = "none") -> mx.array:
    """Compute sum_k exp(targets_k) (targets_k - inputs_k), the Kullback-Leibler divergence.

    Args:
        inputs: Log probabilities along ``axis``.
        targets: Log probabilities that ``inputs`` should come close to.
        axis: The axis to sum over.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the shape of ``inputs`` without ``axis``, or a scalar.

    Raises:
        ValueError: If the shapes do not combine or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> kl_div_loss(mx.log(mx.array([[0.5, 0.5]])), mx.log(mx.array([[0.5, 0.5]])))
        array([0], dtype=float32)
    """
    _check_broadcast("kl_div_loss", inputs=inputs, targets=targets)
    loss = _sum("kl_div_loss", mx.exp(targets) * (targets - inputs), axis)
    return _reduce("kl_div_loss", loss, reduction)


def smooth_l1_loss(
    predictions: mx.array, targets: mx.array, beta: float = 1.0, reduction: Reduction = "mean"
) -> mx.array:
    """Compute d^2 / (2 beta) for differences d up to beta, abs(d) - beta / 2 beyond.

    Args:
        predictions: Array of any shape.
        targets: Array of the same shape.
        beta: Where the parabola meets the line.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the shape of ``predictions``, or a scalar.

    Raises:
        ValueError: If shapes differ or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> smooth_l1_loss(mx.array([0.5, 3.0]), mx.array([0.0, 0.0]), reduction="none")
        array([0.125, 2.5], dtype=float32)
    """
    _check_same_shape("smooth_l1_loss", predictions=predictions, targets=targets)
    distance = mx.abs(predictions - targets)
    if beta == 0:
        return _reduce("smooth_l1_loss", distance, reduction)
    loss = mx.where(distance < beta, 0.5 * mx.square(distance) / beta, distance - 0.5 * beta)
    return _reduce("smooth_l1_loss", loss, reduction)


def huber_loss(inputs: mx.array, targets: mx.array, delta: float = 1.0, reduction: Reduction = "none") -> mx.array:
    """Compute d^2 / 2 for differences d up to delta, delta (abs(d) - delta / 2) beyond.

    Args:
        inputs: Array of any shape.
        targets: Array of a shape that broadcasts with it.
        delta: Where the parabola meets the line.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the common shape, or a scalar.

    Raises:
        ValueError: If the shapes do not combine or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> huber_loss(mx.array([0.5, 3.0]), mx.array([0.0, 0.0]))
        array([0.125, 2.5], dtype=float32)
    """
    _check_broadcast("huber_loss", inputs=inputs, targets=targets)
    distance = mx.abs(inputs - targets)
    loss = mx.where(distance <= delta, 0.5 * mx.square(distance), delta * (distance - 0.5 * delta))
    return _reduce("huber_loss", loss, reduction)


def log_cosh_loss(inputs: mx.array, targets: mx.array, reduction: Reduction = "none") -> mx.array:
    """Compute log(cosh(inputs - targets)), near a parabola for small and a line for large differences.

    Args:
        inputs: Array of any shape.
        targets: Array of a shape that broadcasts with it.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the common shape, or a scalar.

    Raises:
        ValueError: If the shapes do not combine or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> log_cosh_loss(mx.array([0.0, 200.0]), mx.array([0.0, 0.0]))
        array([0, 199.307], dtype=float32)
    """
    _check_broadcast("log_cosh_loss", inputs=inputs, targets=targets)
    difference = inputs - targets
    loss = mx.logaddexp(difference, -difference) - math.log(2)
    return _reduce("log_cosh_loss", loss, reduction)


def hinge_loss(inputs: mx.array, targets: mx.array, reduction: Reduction = "none") -> mx.array:
    """Compute max(1 - inputs targets, 0), which asks for the right sign with a margin.

    Args:
        inputs: Predictions of any shape.
        targets: Array of -1 and 1.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the common shape, or a scalar.

    Raises:
        ValueError: If the shapes do not combine or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> hinge_loss(mx.array([2.0, -0.5]), mx.array([1, 1]))
        array([0, 1.5], dtype=float32)
    """
    _check_broadcast("hinge_loss", inputs=inputs, targets=targets)
    return _reduce("hinge_loss", mx.maximum(1 - inputs * targets, 0), reduction)


def triplet_loss(
    anchors: mx.array,
    positives: mx.array,
    negatives: mx.array,
    axis: int = -1,
    p: int = 2,
    margin: float = 1.0,
    eps: float = 1e-6,
    reduction: Reduction = "none",
) -> mx.array:
    """Compute max(d(anchor, positive) - d(anchor, negative) + margin, 0).

    Args:
        anchors: Vectors along ``axis``.
        positives: Vectors that should be near the anchors.
        negatives: Vectors that should be far from the anchors.
        axis: The axis of the vectors.
        p: Degree of the norm of the distance d.
        margin: By how much negatives should be further away.
        eps: Added to the sum under the root, which keeps its gradient finite.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the shape of ``anchors`` without ``axis``, or a scalar.

    Raises:
        ValueError: If the shapes do not combine or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> triplet_loss(mx.array([[0.0]]), mx.array([[3.0]]), mx.array([[1.0]]))
        array([3], dtype=float32)
    """
    _check_broadcast("triplet_loss", anchors=anchors, positives=positives, negatives=negatives)

    def distance(others: mx.array) -> mx.array:
        return mx.power(_sum("triplet_loss", mx.power(mx.abs(anchors - others), p), axis) + eps, 1 / p)

    loss = mx.maximum(distance(positives) - distance(negatives) + margin, 0)
    return _reduce("triplet_loss", loss, reduction)


def cosine_similarity_loss(
    x1: mx.array, x2: mx.array, axis: int = 1, eps: float = 1e-8, reduction: Reduction = "none"
) -> mx.array:
    """Compute x1 x2 / max(norm(x1) norm(x2), eps), the cosine of the angle between vectors.

    Despite its name it is greatest where the vectors are alike.

    Args:
        x1: Vectors along ``axis``.
        x2: Vectors along ``axis``.
        axis: The axis of the vectors.
        eps: Least denominator.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The cosines, of the common shape without ``axis``, or a scalar.

    Raises:
        ValueError: If the shapes do not combine or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> cosine_similarity_loss(mx.array([[3.0, 4.0]]), mx.array([[1.0, 0.0]]))
        array([0.6], dtype=float32)
    """
    _check_axis("cosine_similarity_loss", axis, x1=x1, x2=x2)
    _check_broadcast("cosine_similarity_loss", x1=x1, x2=x2)

    def norm(x: mx.array) -> mx.array:
        return mx.sqrt(mx.sum(mx.square(x), axis=axis))

    loss = mx.sum(x1 * x2, axis=axis) / mx.maximum(norm(x1) * norm(x2), eps)
    return _reduce("cosine_similarity_loss", loss, reduction)


def margin_ranking_loss(
    inputs1: mx.array,
    inputs2: mx.array,
    targets: mx.array,
    margin: float = 0.0,
    reduction: Reduction = "none",
) -> mx.array:
    """Compute max(-targets (inputs1 - inputs2) + margin, 0).

    Args:
        inputs1: Scores.
        inputs2: Other scores, of the same shape.
        targets: 1 where ``inputs1`` should be greater and -1 where ``inputs2`` should, of the same shape.
        margin: By how much.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of the shape of ``inputs1``, or a scalar.

    Raises:
        ValueError: If shapes differ or ``reduction`` is unknown.

    Example:
        >>> import mlx.core as mx
        >>> margin_ranking_loss(mx.array([1.0, 2.0]), mx.array([3.0, 0.0]), mx.array([1, 1]))
        array([2, 0], dtype=float32)
    """
    _check_same_shape("margin_ranking_loss", inputs1=inputs1, inputs2=inputs2, targets=targets)
    loss = mx.maximum(-targets * (inputs1 - inputs2) + margin, 0)
    return _reduce("margin_ranking_loss", loss, reduction)
