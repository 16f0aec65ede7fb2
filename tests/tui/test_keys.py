"""The keys themselves: which may not end or change a run by mistake."""

from cifar_tui.tui.keys import CHANGES, KEYS, LISTS, keys_for

ENDS_A_RUN = {"stop", "skip", "empty", "trash", "empty_trash", "keep_best"}


def test_no_key_that_ends_a_run_sits_where_a_movement_is_expected() -> None:
    moves = {name for key in keys_for(LISTS) for name in key.keys.split(",")}
    moves |= {"left", "right", "h", "l", "w", "b", "space", "enter", "tab"}
    ending = [key for key in KEYS if key.action in ENDS_A_RUN]
    assert {key.action for key in ending} == ENDS_A_RUN <= CHANGES
    assert [key.name for key in ending if moves & set(key.keys.split(","))] == []
