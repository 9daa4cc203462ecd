"""The exercise checks: what a learner is told, and what a check leaves alone."""

import random

import numpy as np
import pytest
import torch

import segbook as sb
from segbook.course import check
from segbook.course.check import (
    Incorrect,
    exercise,
    expect,
    expect_callable,
    expect_close,
    expect_equal,
    expect_shape,
    expect_type,
)

HINTS = ["Think of both sums.", "Divide one by the other."]


def make(body, hints=HINTS):
    def ratio(answer):
        body(answer)

    return exercise("the ratio of two sums", hints=hints)(ratio)


def failure(exercise, answer) -> str:
    with pytest.raises(Incorrect) as caught:
        exercise(answer)
    return str(caught.value)


def test_success_prints_one_line_and_forgets_the_failed_tries(capsys):
    ratio = make(lambda answer: expect_equal(answer, 3))
    failure(ratio, 4)
    assert ratio.tries == 1
    ratio(3)
    assert capsys.readouterr().out == "✓ test check, ratio: correct.\n"
    assert ratio.tries == 0


def test_each_failed_try_shows_one_more_hint():
    ratio = make(lambda answer: expect_equal(answer, 3, "the ratio"))
    first, second, third = (failure(ratio, 4) for _ in range(3))
    assert first.splitlines() == [
        "test check, ratio (the ratio of two sums): not yet.",
        "  the ratio: expected 3, got 4.",
        "  Hint 1 of 2: Think of both sums.",
    ]
    assert second == first + "\n  Hint 2 of 2: Divide one by the other."
    assert third.startswith(second) and "last hint" in third


def empty_function(x): ...


def ellipsis_function(x):
    result = ...
    return result


def unwritten_function(x):
    raise NotImplementedError


@pytest.mark.parametrize("answer", [None, ..., empty_function, ellipsis_function, unwritten_function])
def test_an_empty_answer_is_named_and_costs_no_hint(answer):
    ratio = make(lambda answer: expect_close(answer(2) if callable(answer) else answer, 1.0))
    message = failure(ratio, answer)
    assert "Nothing here yet" in message and "Hint" not in message
    assert ratio.tries == 0


def test_a_missing_answer_is_an_empty_one():
    with pytest.raises(Incorrect, match="Nothing here yet"):
        make(lambda answer: None)()


def test_an_empty_method_is_an_empty_answer():
    class Block(torch.nn.Module):
        def forward(self, x): ...

    assert "Nothing here yet" in failure(make(lambda block: expect_shape(block()(torch.ones(1)), [1])), Block)


def test_an_exception_in_the_learners_function_is_named_with_its_line():
    def divide(x):
        y = x - x
        return x / y

    ratio = make(lambda answer: expect_close(answer(2), 1.0))
    with pytest.raises(Incorrect) as caught:
        ratio(divide)
    line = divide.__code__.co_firstlineno + 2
    assert f"line {line} of the cell, in divide" in str(caught.value)
    assert "return x / y" in str(caught.value) and "ZeroDivisionError: division by zero" in str(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_exception_inside_a_library_names_the_learners_line():
    def multiply(x):
        return torch.ones(2, 3) @ torch.ones(2, 3)

    message = failure(make(lambda answer: answer(2)), multiply)
    assert "return torch.ones(2, 3) @ torch.ones(2, 3)" in message and "RuntimeError" in message


def test_an_assertion_of_the_learner_is_named_too():
    def refuse(x):
        assert x < 0, "must be negative"

    assert "AssertionError: must be negative" in failure(make(lambda answer: answer(2)), refuse)


def test_an_answer_the_check_cannot_work_with_is_incorrect():
    message = failure(make(lambda answer: answer.shape), 3)
    assert "AttributeError: 'int' object has no attribute 'shape'" in message


def test_interrupts_go_through():
    def stop(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(lambda answer: answer(1))(stop)


def test_answers_are_not_changed():
    def spoil(answer):
        for part in answer if isinstance(answer, list) else [answer]:
            part += 1

    array, tensor, parts = np.zeros(3), torch.zeros(3), [torch.zeros(2), np.zeros(2)]
    for answer in (array, tensor, parts):
        make(spoil)(answer)
    assert not array.any() and not tensor.any() and not parts[0].any() and not parts[1].any()
    graph = torch.ones(2, requires_grad=True) * 2
    make(lambda answer: expect_close(answer, [2.0, 2.0]))(graph)
    norm = torch.nn.BatchNorm1d(2)
    make(lambda model: expect_shape(model(torch.randn(8, 2) + 5), [8, 2]))(norm)
    assert not norm.running_mean.any()


def test_a_check_is_repeatable_and_leaves_the_learners_random_numbers_alone():
    drawn = []
    ratio = make(lambda answer: drawn.append((random.random(), np.random.rand(), torch.rand(1).item())))
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    ratio(1)
    after = random.random(), np.random.rand(), torch.rand(1).item()
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    assert after == (random.random(), np.random.rand(), torch.rand(1).item())
    ratio(1)
    assert drawn[0] == drawn[1]


def test_a_notebook_shows_the_message_without_the_way_there():
    shown = "\n".join(Incorrect("chapter 05, iou: not yet.\n  expected 1")._render_traceback_())
    assert "expected 1" in shown and "not yet" in shown and "Traceback" not in shown and ".py" not in shown


@pytest.mark.parametrize("hints", [[], ["one"], "a string of letters"])
def test_an_exercise_needs_two_hints(hints):
    with pytest.raises(ValueError, match="two hints"):
        exercise("title", hints=hints)


def told(function, *args, **kwargs) -> str:
    with pytest.raises(Incorrect) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def test_expect():
    expect(True, "unused")
    assert told(expect, False, "the rates must grow") == "the rates must grow"


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (0.5, 0.5),
        (torch.tensor(0.5), 0.5),
        ([0.1, 0.2], torch.tensor([0.1, 0.2])),
        ([torch.tensor(1.0), 2], np.array([1, 2])),
        (np.array([1.0, np.nan]), [1.0, float("nan")]),
        (torch.tensor([1.0], requires_grad=True), [1.0]),
        (torch.tensor([1.0], dtype=torch.bfloat16), [1.0]),
        (torch.tensor([True, False]), [True, False]),
    ],
)
def test_expect_close_accepts_every_kind_of_number(actual, expected):
    expect_close(actual, expected)


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        (0.75, 0.5, "it: expected 0.5, got 0.75."),
        (torch.tensor([1, 2]), [1, 3], "it: expected [1, 3], got [1, 2]."),
        (torch.ones(2, 3), torch.ones(3, 2), "it: expected the shape [3, 2], got [2, 3]."),
        ("half", 0.5, "it: expected a number, got 'half'."),
        ([1, [2, 3]], [1, 2], "it: expected numbers of shape [2], got [1, [2, 3]]."),
        (float("nan"), 0.5, "it: expected 0.5, got nan."),
        (torch.zeros(4, 5), torch.eye(4, 5), "it: 4 of 20 values are wrong; the first at [0, 0]: expected 1, got 0."),
    ],
)
def test_expect_close_says_what_differs(actual, expected, message):
    assert told(expect_close, actual, expected, "it") == message


def test_expect_equal():
    expect_equal([1, "a"], [1, "a"])
    expect_equal(torch.tensor([1, 2]), [1, 2])
    assert told(expect_equal, "cats", "dogs", "it") == "it: expected 'dogs', got 'cats'."
    assert told(expect_equal, True, 1, "it") == "it: expected 1, got True."
    assert told(expect_equal, torch.ones(2), 2, "it") == (
        "it: expected the number 2, got a tensor of shape [2] and type float32."
    )
    assert "Nothing here yet" in told(expect_equal, None, 3)


def test_expect_shape_type_and_callable():
    expect_shape(torch.ones(2, 3), (2, 3))
    assert told(expect_shape, torch.ones(2, 3), (3, 2), "it") == "it: expected the shape [3, 2], got [2, 3]."
    assert "got 7" in told(expect_shape, 7, (1,))
    expect_type(3, (int, float))
    assert told(expect_type, "3", (int, float), "it") == "it: expected int or float, got '3'."
    expect_callable(len)
    assert told(expect_callable, 3, "it") == "it: expected a function, got 3."


def test_a_wrong_name_lists_what_there_is():
    assert sb.check is check
    with pytest.raises(AttributeError, match="there are checks for: "):
        _ = sb.check.chapter_77
    with pytest.raises(AttributeError, match="no 'chapters_of_accidents'"):
        _ = sb.check.chapters_of_accidents
    for name in check.chapters():
        chapter = getattr(sb.check, name)
        assert dir(chapter) and all(callable(getattr(chapter, exercise)) for exercise in dir(chapter))
        with pytest.raises(AttributeError, match=dir(chapter)[0]):
            _ = chapter.no_such_exercise


def without_return(x):
    x = x + 1


def test_a_forgotten_return_is_named_and_costs_no_hint():
    ratio = make(lambda answer: expect_equal(answer(1), 2))
    assert "Is a `return` missing" in failure(ratio, without_return) and ratio.tries == 0
    assert "three dots" in failure(ratio, empty_function) and "three dots" in failure(ratio, ellipsis_function)


def test_a_typo_costs_no_hint_and_a_wrong_shape_does():
    ratio = make(lambda answer: answer(torch.zeros(2)))
    assert "NameError" in failure(ratio, lambda x: no_such_name) and ratio.tries == 0  # noqa: F821
    assert "Hint 1" in failure(ratio, lambda x: x.view(3)) and ratio.tries == 1


def test_the_failed_call_is_shown_and_kept():
    ratio = make(lambda answer: expect_equal(answer([[1, 0], [2, 2]], scale=2), 5))
    message = failure(ratio, lambda maps, scale: scale)
    assert "argument 1 = [[1, 0], [2, 2]]" in message and "scale = 2" in message
    case = check.last
    assert case.arguments == ([[1, 0], [2, 2]],) and case.result == case.call() == 2
    large = make(lambda answer: expect_equal(answer(torch.zeros(99)), 5))
    message = failure(large, lambda x: 1)
    assert "argument 1" not in message and "sb.check.last" in message and check.last.arguments[0].shape == (99,)


def test_a_value_that_was_handed_in_has_no_call():
    failure(make(lambda answer: expect_equal(answer, 3)), 4)
    assert check.last is None


@pytest.mark.parametrize(
    "got, word",
    [
        ([[1, 3], [2, 4]], "Rows and columns are swapped"),
        ([[2, 3], [4, 5]], "one too large"),
        ([[0, 1], [2, 3]], "one too small"),
        ([[-1, -2], [-3, -4]], "wrong sign"),
        ([[100, 200], [300, 400]], "percent"),
        ([[3, 4], [1, 2]], "order is reversed"),
        ([[1, 1 / 2], [1 / 3, 1 / 4]], "numerator and denominator"),
    ],
)
def test_classical_slips_get_their_word(got, word):
    assert word in told(expect_close, got, [[1.0, 2.0], [3.0, 4.0]])
    assert word not in told(expect_close, [[1, 2], [3, 9]], [[1.0, 2.0], [3.0, 4.0]])
