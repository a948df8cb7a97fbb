# SPDX-License-Identifier: GPL-2.0-or-later
MESON_ARGS:=
