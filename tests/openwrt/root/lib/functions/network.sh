#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
# /tmp/up/NAME holds the device of a logical interface that is up.

network_get_device() {
	[ -f "/tmp/up/$2" ] && eval "$1=\$(cat \"/tmp/up/$2\")"
}
