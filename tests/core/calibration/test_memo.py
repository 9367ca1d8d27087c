import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from otcache_core.calibration.memo import Place, PrefixMemo, RunMemo
from otcache_core.documents.schedule import Schedule
from otcache_core.run_time.velocity import VelocityCache

STEPS = 8
SIGMAS = tuple(1 - i / STEPS for i in range(STEPS + 1))


def _sample(
    prompt: int, schedule: Schedule, memo: PrefixMemo | None, evaluations: int = 1
) -> tuple[Tensor, int]:
    """Euler on a model without any structure, and how often it ran; as Heun does, it may run more
    than once at a step."""
    run = memo.for_run(prompt, schedule) if memo is not None else None
    cache = VelocityCache(schedule, SIGMAS)
    x = torch.randn(24, generator=torch.Generator().manual_seed(prompt))
    calls = 0

    def predict(at: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.sin(7 * at) * (1 + prompt)

    for i, sigma in enumerate(SIGMAS[:-1]):
        if not cache.must_compute(i, x):
            denoised = cache.estimate(i, sigma, x)
            x = x + (x - denoised) / sigma * (SIGMAS[i + 1] - sigma)
            continue
        for nth in range(evaluations):
            at = x + nth / 4
            denoised = run(i, at, lambda at=at: predict(at)) if run else predict(at)  # type: ignore[misc]
            cache.observe(i, sigma, at, denoised)
            # In place, as some samplers do: what the memo gave out must be nobody else's.
            denoised.mul_(0.5)
            x = x + (x - denoised) / sigma * (SIGMAS[i + 1] - sigma)
    return x, calls


def _schedules(estimator: str) -> list[Schedule]:
    """Every schedule of four computed steps, with look-backs and coefficients where they count."""
    look_backs = [(1, 2, 3), (2, 2, 1)] if estimator == "meancache" else [(1, 1, 1)]
    edges: list[dict[str, Any]] = [{}]
    if estimator == "slope":
        edges += [{"slope_gain": (1.0, 0.5, 1.0)}, {"drift": (0.2, 0.0, 0.0)}]
        edges += [{"drift": (0.2, -0.3, 0.0)}]
    return [
        Schedule(STEPS, (0, *inner, STEPS - 1), estimator, look_back, **of_edges)
        for inner in itertools.combinations(range(1, STEPS - 1), 2)
        for look_back, of_edges in itertools.product(look_backs, edges)
    ]


# A search finds what it finds without a memo


@pytest.mark.parametrize("evaluations", [1, 2])
@pytest.mark.parametrize("estimator", ["slope", "meancache", "reuse"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"place": "device"},
        {"place": "off"},
        {"max_bytes": 1000},  # ten predictions of 24 * 4 = 96 bytes
    ],
    ids=["host memory", "device", "off", "small"],
)
def test_runs_are_the_same_to_the_bit(
    options: dict[str, Any], estimator: str, evaluations: int
) -> None:
    memo, made, wanted = PrefixMemo(**options), 0, 0
    for prompt, schedule in itertools.product((0, 1), _schedules(estimator)):
        expected, needed = _sample(prompt, schedule, None, evaluations)

        got, calls = _sample(prompt, schedule, memo, evaluations)

        assert torch.equal(got, expected)
        made, wanted = made + calls, wanted + needed
    assert memo.calls == made
    assert memo.calls + memo.saved == wanted
    assert (made < wanted) == (memo.place != "off")


def test_calls_by_hand() -> None:
    """Each of the three runs shares its beginning with one before it."""
    memo = PrefixMemo()

    calls = [_sample(0, Schedule(STEPS, nodes), memo)[1] for nodes in (
        (0, 2, 4, 7),  # 0, 0 2, 0 2 4, 0 2 4 7
        (0, 2, 5, 7),  # 0 2 5, 0 2 5 7
        (0, 3, 5, 7),  # 0 3, 0 3 5, 0 3 5 7
        (0, 2, 4, 7),  # nothing
    )]  # fmt: skip

    assert calls == [4, 2, 3, 0]
    assert (memo.calls, memo.saved) == (9, 7)


# What a prediction depends on


def _ask(run: RunMemo, step: int, value: float, shape: tuple[int, ...] = (1,)) -> float:
    """What the memo says at a step where the model says ``value``."""
    return run(step, torch.zeros(shape), lambda: torch.full(shape, value)).flatten()[0].item()


BASE = Schedule(10, (0, 3, 6, 9), "meancache", (2, 3, 4))


@pytest.mark.parametrize(
    ("schedule", "shared"),
    [
        (BASE, True),
        # What comes at or after step 6 does not matter there.
        (Schedule(10, (0, 3, 6, 8, 9), "meancache", (2, 3, 1, 1)), True),
        (Schedule(10, (0, 3, 6, 9), "meancache", (2, 3, 5)), True),
        (Schedule(10, (0, 3, 6, 9), "meancache", (2, 3, 4), tuple(range(10, -1, -1))), True),
        # What comes before it does.
        (Schedule(10, (0, 2, 6, 9), "meancache", (2, 3, 4)), False),
        (Schedule(10, (0, 3, 5, 6, 9), "meancache", (2, 3, 1, 4)), False),
        (Schedule(10, (0, 6, 9), "meancache", (2, 4)), False),
        (Schedule(10, (0, 3, 6, 9), "meancache", (1, 3, 4)), False),
        (Schedule(10, (0, 3, 6, 9), "meancache", (2, 4, 4)), False),
        (Schedule(10, (0, 3, 6, 9), "reuse", (2, 3, 4)), False),
    ],
)
def test_runs_share_what_came_before(schedule: Schedule, shared: bool) -> None:
    memo = PrefixMemo()
    assert _ask(memo.for_run(0, BASE), 6, 1.0) == 1.0

    assert _ask(memo.for_run(0, schedule), 6, 2.0) == (1.0 if shared else 2.0)


@pytest.mark.parametrize("name", ["slope_gain", "drift"])
@pytest.mark.parametrize(
    ("values", "shared"),
    [
        ((1.0, 0.5, 0.75), True),
        ((1.0, 0.5, 0.25), True),  # of the edge that begins at step 6
        ((1.0, 0.25, 0.75), False),
        ((0.9, 0.5, 0.75), False),
    ],
)
def test_runs_share_coefficients_that_came_before(
    name: str, values: tuple[float, ...], shared: bool
) -> None:
    memo, nodes = PrefixMemo(), (0, 3, 6, 9)
    base, schedule = (
        Schedule(10, nodes, "slope", **{name: of_edges})  # type: ignore[arg-type]
        for of_edges in ((1.0, 0.5, 0.75), values)
    )
    _ask(memo.for_run(0, base), 6, 1.0)

    other = memo.for_run(0, schedule)

    assert _ask(other, 6, 2.0) == (1.0 if shared else 2.0)


def test_runs_that_know_otherwise_how_steady_the_model_is_share_nothing() -> None:
    memo = PrefixMemo()
    for steadiness in (None, 0.3, 0.3):
        schedule = Schedule(STEPS, (0, 2, STEPS - 1), "adaptive", steadiness=steadiness)
        memo.for_run(0, schedule)(2, torch.zeros(1), lambda: torch.ones(1))
    assert (memo.calls, memo.saved) == (2, 1)


def test_prompts_share_nothing() -> None:
    memo = PrefixMemo()
    _ask(memo.for_run(0, BASE), 0, 1.0)

    assert _ask(memo.for_run(1, BASE), 0, 2.0) == 2.0


def test_shapes_share_nothing() -> None:
    """A host that splits a batch asks with less of it."""
    memo = PrefixMemo()
    _ask(memo.for_run(0, BASE), 0, 1.0, (2, 4))

    assert _ask(memo.for_run(0, BASE), 0, 2.0, (1, 4)) == 2.0


def test_evaluations_of_one_step_are_told_apart() -> None:
    memo = PrefixMemo()
    first, second = memo.for_run(0, BASE), memo.for_run(0, BASE)

    assert [_ask(first, step, v) for step, v in ((0, 1.0), (0, 2.0), (3, 3.0))] == [1.0, 2.0, 3.0]
    assert [_ask(second, step, 9.0) for step in (0, 0, 3)] == [1.0, 2.0, 3.0]
    assert _ask(second, 0, 9.0) == 9.0  # a third one there was not


# Memory


def _keep(memo: PrefixMemo, key: str, floats: int = 1) -> None:
    memo.recall(key, torch.zeros(1), lambda: torch.zeros(floats))


def _known(memo: PrefixMemo, key: str) -> bool:
    """Whether a key is answered; asking makes it the most recent."""
    before = memo.calls
    memo.recall(key, torch.zeros(1), lambda: torch.zeros(1))
    return memo.calls == before


def test_the_least_recently_used_go_first() -> None:
    memo = PrefixMemo(max_bytes=12)  # three floats
    for key in "abc":
        _keep(memo, key)
    assert _known(memo, "a")  # so that b is the oldest

    _keep(memo, "d")

    assert [_known(memo, key) for key in "acd"] == [True, True, True]
    assert not _known(memo, "b")


def test_as_many_go_as_must() -> None:
    memo = PrefixMemo(max_bytes=12)
    for key in "abc":
        _keep(memo, key)

    _keep(memo, "wide", floats=2)  # the room of a and b

    assert memo.held_bytes == 12
    assert [_known(memo, key) for key in ("wide", "c")] == [True, True]


@pytest.mark.parametrize("floats", range(1, 9))
def test_the_bound_holds_at_all_times(floats: int) -> None:
    memo, held = PrefixMemo(max_bytes=20), []
    for key in "abcdefgh":
        _keep(memo, key, floats)
        held.append(memo.held_bytes)

    # 20 bytes are 5 floats: so many of this size, and none where one is too large by itself.
    most = 5 // floats * floats * 4
    assert max(held) == held[-1] == most


def test_what_is_too_large_pushes_nothing_out() -> None:
    memo = PrefixMemo(max_bytes=12)
    _keep(memo, "a")

    _keep(memo, "huge", floats=4)

    assert _known(memo, "a")


def test_off_keeps_nothing() -> None:
    memo = PrefixMemo("off")

    for _ in range(2):
        _keep(memo, "a")

    assert (memo.calls, memo.saved, memo.held_bytes) == (2, 0, 0)


def test_clear_frees_everything() -> None:
    memo = PrefixMemo()
    _keep(memo, "a")

    memo.clear()

    assert memo.held_bytes == 0
    assert not _known(memo, "a")
    assert memo.calls == 2  # counts are of the whole life


def test_answers_are_never_aliases() -> None:
    memo, predicted = PrefixMemo(), torch.zeros(3)
    given = [memo.recall("a", predicted, lambda: predicted) for _ in range(3)]

    given[0].fill_(7.0)  # the very tensor that the model returned
    given[1].fill_(8.0)

    assert given[2].tolist() == [0.0, 0.0, 0.0]
    assert memo.recall("a", predicted, lambda: predicted).tolist() == [0.0, 0.0, 0.0]


def test_gradients_are_not_kept() -> None:
    memo, weight = PrefixMemo(), torch.ones(1, requires_grad=True)
    memo.recall("a", weight, lambda: weight * 2)

    assert not memo.recall("a", weight, lambda: weight).requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_dtypes_come_back(dtype: torch.dtype) -> None:
    memo = PrefixMemo()
    value = torch.tensor([1 / 3], dtype=dtype)
    memo.recall("a", value, lambda: value)

    again = memo.recall("a", value, lambda: torch.zeros(1))

    assert again.dtype == dtype
    assert torch.equal(again, value)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_bad_values_are_not_kept(bad: float) -> None:
    """A model that failed for once is asked again."""
    memo = PrefixMemo()
    memo.recall("a", torch.zeros(2), lambda: torch.tensor([0.0, bad]))

    assert memo.recall("a", torch.zeros(2), lambda: torch.ones(2)).tolist() == [1.0, 1.0]
    assert (memo.calls, memo.saved, memo.held_bytes) == (2, 0, 8)


@pytest.mark.parametrize("place", ["host memory", "device"])
def test_answers_are_where_they_are_wanted(place: Place) -> None:
    """The meta device stands for a GPU; copies to it lose their values and nothing else."""
    memo = PrefixMemo(place)
    memo.recall("a", torch.zeros(1), lambda: torch.ones(1))

    assert memo.recall("a", torch.zeros(1), _never).device.type == "cpu"
    assert memo.recall("a", torch.zeros(1, device="meta"), _never).device.type == "meta"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(("place", "free"), [("host memory", True), ("device", False)])
def test_the_place_decides_whose_memory_is_used(place: Place, free: bool) -> None:
    memo, like = PrefixMemo(place), torch.zeros(1 << 20, device="cuda")
    before = torch.cuda.memory_allocated()

    memo.recall("a", like, lambda: torch.ones(1 << 20, device="cuda"))

    assert (torch.cuda.memory_allocated() == before) == free
    assert memo.recall("a", like, _never).device.type == "cuda"


def test_what_the_model_raises_is_passed_on_and_not_kept() -> None:
    memo = PrefixMemo()

    with pytest.raises(AssertionError, match="nobody asks the model"):
        memo.recall("a", torch.zeros(1), _never)

    assert (memo.calls, memo.held_bytes) == (0, 0)
    assert not _known(memo, "a")


def _never() -> Tensor:
    raise AssertionError("nobody asks the model")
