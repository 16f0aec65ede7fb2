"""The demo set, drawn once for all that this process and its forks do with it."""

import functools

from cifar_tui.data import demo

demo.draw_demo = functools.cache(demo.draw_demo)
demo.draw_demo()
