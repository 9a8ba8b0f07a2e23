"""Work in threads: results in order, errors where they belong, no more ahead than asked for."""

from threading import Event

import pytest

from personsearch.data.parallel import map_in_order


def test_results_come_in_order_and_an_error_in_its_place() -> None:
    def square(number: int) -> int:
        if number == 5:
            raise OSError("the disk is gone")
        return number * number

    assert list(map_in_order(square, range(2, 5), workers=2)) == [4, 9, 16]
    assert list(map_in_order(square, [], workers=2)) == []
    squares = map_in_order(square, range(3, 7), workers=2)
    assert [next(squares), next(squares)] == [9, 16]
    with pytest.raises(OSError, match="the disk is gone"):
        next(squares)


def test_the_next_is_made_while_one_is_used_and_none_after_it() -> None:
    begun = [Event() for _ in range(4)]

    def begin(number: int) -> int:
        begun[number].set()
        return number

    numbers = map_in_order(begin, range(4), workers=1, ahead=2)
    assert next(numbers) == 0
    assert begun[1].wait(60)
    assert not begun[2].is_set()
    assert next(numbers) == 1
    assert begun[2].wait(60)
    assert not begun[3].is_set()
