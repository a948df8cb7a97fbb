# SPDX-License-Identifier: GPL-2.0-or-later
"""pinlab: the Internet in a handful of network namespaces, for pinhold's tests and its demo."""
from .lab import Lab

__all__ = ["Lab"]
