"""Tests of cifar_tui.models.build."""
