"""Planning: which pending nodes one evaluation computes, and in which order.

A thread's pending list holds the nodes that it recorded and did not evaluate, in recorded order, which is also an
order of computation. One backward pass over it drops what nobody holds, counts uses and marks what was asked for. Which
nodes something outside the program still holds is told by reference counts: those are the outputs. Where the same nodes
were pending before, the plan of that time is taken over.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from sys import getrefcount

from mlx.ir.node import Node, hooks, recorder
from mlx.ir.primitive import PLACEHOLDER, SCALAR, Leaf
from mlx.ir.sizes import depends_on_sizes, open_sizes, settled
from mlx.ir.trace import RESULT
from mlx.ir.walk import ancestors, in_recorded_order
from mlx.primitives.structure import PROJECT
from mlx.runtime.known_plans import plan_as_before
from mlx.runtime.plan import COUNT_WITHOUT_HOLDER, Plan, plan_of


class NoValueError(ValueError):
    """A placeholder of a transform was asked for its value."""


def plan_everything_held() -> Plan | None:
    """Plan the evaluation of all that this thread has pending and something still holds; None if that is nothing."""
    return _plan(None)


def plan_for(roots: list[Node]) -> Plan | None:
    """Plan the evaluation of `roots`; held pending nodes that share unevaluated ancestors come along."""
    wanted = [node for node in roots if node.value is None]
    return _plan(wanted) if wanted else None


def plan_recurring() -> Plan | None:
    """Plan the evaluation of the older part of what is pending, up to the last recurrence of a step.

    A loop that never asks for a value is cut at the same place of its body each time, so that the parts are the same
    program. What the newer part uses of the older one counts as held. Without a recurrence all of it is planned.
    """
    mine = recorder()
    cut = _between_steps(mine.pending, _last_recurrence(mine.pending))
    newer = mine.pending[cut:]
    del mine.pending[cut:]
    plan = _plan(None)
    mine.pending.extend(newer)
    return plan


def _last_recurrence(pending: list[Node]) -> int:
    """The position after the last occurrence of the rarest step that occurs more than once."""
    steps = [(node.primitive, node.shape) for node in pending]
    counts = Counter(steps)
    repeated = [step for step, count in counts.items() if count > 1]
    if not repeated:
        return len(pending)
    rarest = min(repeated, key=counts.__getitem__)  # the first of the rarest: the same one in the same window
    return len(steps) - steps[::-1].index(rarest)


def _between_steps(pending: list[Node], cut: int) -> int:
    """The next position that does not part a node of many outputs from these: its own value is not kept.

    At the end of the list it is the one before the node, since further outputs may be about to be recorded.
    """
    while cut < len(pending) and pending[cut].primitive is PROJECT:
        cut += 1
    if cut == len(pending):
        last = cut - 1
        while last >= 0 and pending[last].primitive is PROJECT:
            last -= 1
        if last >= 0 and pending[last].primitive.many:
            return last
    return cut


def drop_dead() -> None:
    """Forget pending nodes that nothing needs any more, without evaluating anything."""
    mine = recorder()
    pending, mine.pending = mine.pending, []
    alive, _ = _sweep(pending)
    _forget_uses(alive)
    mine.pending = alive[::-1]


def _plan(roots: list[Node] | None, among_placeholders: bool = False) -> Plan | None:
    """Plan for `roots`, or for all that is held.

    Placeholders are looked for where a transform is open, and where one turns up that a transform leaked.
    """
    mine = recorder()
    among_placeholders = among_placeholders or mine.open_transforms > 0
    pending, mine.pending = mine.pending, []
    mine.retained_bytes = 0
    draft = None
    if not among_placeholders and not open_sizes:
        plan, draft = plan_as_before(pending, roots)
        if plan is not None:
            return plan
    if roots is not None:
        _adopt_foreign(roots, pending)
    alive, held = _sweep(pending)
    try:
        selected = _select(alive, held, roots, _blocked(alive) if among_placeholders else set())
    except NoValueError:
        _forget_uses(alive)
        mine.pending = alive[::-1]
        raise
    if len(selected) < len(alive):
        chosen = set(selected)
        mine.pending = [node for node in reversed(alive) if node not in chosen]
        _forget_uses(mine.pending)
    if not selected:
        return None
    selected.reverse()
    if open_sizes:
        _fix_sizes(selected)
    plan = plan_of(selected, [node for node in selected if node in held and not node.primitive.many])
    unknown = [leaf for leaf in plan.leaves if leaf.value is None]
    if unknown:
        plan.release()
        mine.pending = in_recorded_order(selected + mine.pending)
        needed = set(ancestors(roots or ()))
        results = [leaf for leaf in unknown if leaf.primitive is RESULT and leaf in needed]
        for call in [result.params[0] for result in results]:  # that another thread made
            hooks.run_call(call)  # type: ignore[arg-type]
        _adopt_foreign([node for node in unknown if not isinstance(node.primitive, Leaf)], mine.pending)
        del plan, draft, alive, held, selected, unknown, needed, results  # or what they hold would be kept as outputs
        return _plan(roots, among_placeholders=True)
    if draft is not None:
        draft.learn(plan, mine.pending)
    return plan


def _fix_sizes(nodes: list[Node]) -> None:
    """Values asked for while a shapeless trace is recorded are those of the sizes at hand, and so is then the trace."""
    scalars = [operand for node in nodes for operand in node.inputs if operand.primitive is SCALAR]
    for node in nodes + scalars:
        if depends_on_sizes((node.params, node.shape)):
            node.params, node.shape = settled(node.params), settled(node.shape)


def _forget_uses(nodes: list[Node]) -> None:
    for node in nodes:
        node.uses = 0
        for operand in node.inputs:
            operand.uses = 0


def _adopt_foreign(roots: list[Node], pending: list[Node]) -> None:
    """Add to `pending` what `roots` need and another thread recorded."""
    known = set(pending)
    missing = [root for root in roots if root not in known]
    if missing:
        pending.extend(
            node
            for node in ancestors(missing)
            if node.value is None and node not in known and not isinstance(node.primitive, Leaf)
        )
        pending[:] = in_recorded_order(pending)


def _sweep(pending: list[Node]) -> tuple[list[Node], set[Node]]:
    """The live nodes of `pending`, newest first, and those of them that something outside still holds.

    Consumes the list. A node's consumers come after it, so when the walk reaches it, dead ones among them are gone
    and the live ones have been counted in `uses`.
    """
    alive: list[Node] = []
    held: set[Node] = set()
    pop = pending.pop
    keep = alive.append
    unheld = COUNT_WITHOUT_HOLDER
    while pending:
        node = pop()
        if getrefcount(node) - node.uses != unheld:
            if node.value is not None:
                continue
            held.add(node)
        elif not node.uses or node.value is not None:
            continue
        keep(node)
        for operand in node.inputs:
            operand.uses += 1
        operand = None  # or this name would count as a holder of the node that comes next
    return alive, held


def _select(alive: list[Node], held: set[Node], roots: list[Node] | None, blocked: set[Node]) -> list[Node]:
    """What to compute, newest first: the ancestors of `roots` and held nodes that share some of these.

    Without roots it is all. `blocked` nodes depend on a placeholder, so they cannot be computed.
    """
    if roots is None:
        return [node for node in alive if node not in blocked] if blocked else alive
    for root in roots:
        if root in blocked or root.primitive is PLACEHOLDER:
            _refuse(root)
    needed = set(roots)
    for node in alive:
        if node in needed:
            needed.update(node.inputs)
    computed = [node for node in alive if node in needed]
    if len(computed) == len(alive):
        return alive
    touched = set(computed)
    for node in reversed(alive):
        if not touched.isdisjoint(node.inputs):
            touched.add(node)
    for node in alive:
        if node in needed or (node in held and node in touched and node not in blocked):
            needed.add(node)
            needed.update(node.inputs)
    return [node for node in alive if node in needed]


def _blocked(alive: list[Node]) -> set[Node]:
    """Those nodes (given newest first) that depend on a placeholder, or on a call whose arguments come first."""
    blocked: set[Node] = set()
    for node in reversed(alive):
        for operand in node.inputs:
            if operand in blocked or (operand.value is None and isinstance(operand.primitive, Leaf)):
                blocked.add(node)
                break
    return blocked


def _refuse(root: Node) -> None:
    placeholder = next(node for node in ancestors([root]) if node.primitive is PLACEHOLDER)
    (transform,) = placeholder.params
    what = "it is" if root is placeholder else "it depends on"
    if recorder().open_transforms:
        why = f"{what} an argument of a function inside mx.{transform}, which has no value while the function is traced"
        remedy = "Branch with mx.where, and return what you want to look at."
    else:
        why = (
            f"{what} an argument of a function that mx.{transform} traced, and was kept when the function had returned"
        )
        remedy = _REMEDIES.get(str(transform), "Return it from the function instead.")
    raise NoValueError(
        f"[eval] Attempting to eval an array during function transformations like compile or vmap is not allowed: "
        f"{_users_line()} asks for the value of an array that has none, since {why}. {remedy}"
    )


# What a module keeps that was assigned inside of these is lost; that of others is not.
_REMEDIES = {
    "compile": "Return it from the function, or name the state that holds it: mx.compile(fun, outputs=model.state).",
    "vmap": "Return it from the function; what a module keeps comes back from module.apply(params, x, state=state).",
}
_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def _users_line() -> str:
    """File and line of the innermost call that is not this library's own."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}, line {frame.f_lineno},"
