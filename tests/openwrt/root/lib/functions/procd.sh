#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
# What the script tells procd goes to /tmp/procd, a call a line, its words separated by the unit separator; and
# uci_load_validate, which is procd.sh's on the device, too.

procd_said() {
	local word line

	for word in "$@"; do
		line=$line$word$(printf '\037')
	done
	printf '%s\n' "$line" >>/tmp/procd
}

procd_open_service() {
	: >/tmp/procd
}

procd_close_service() {
	service_triggers
	procd_said set
}

procd_kill() {
	procd_said kill "$@"
}

for procd_call in open_instance close_instance set_param append_param add_jail add_reload_trigger \
	add_reload_interface_trigger; do
	eval "procd_$procd_call() { procd_said $procd_call \"\$@\"; }"
done

procd_add_validation() {
	procd_said add_validation "$@"
	"$@"
}

uci_load_validate() {
	local package=$1 type=$2 name=$3 call=$4 values result

	shift 4
	values=$(validate_data "$package" "$type" "$name" "$@" 2>/dev/null)
	result=$?
	eval "$values"
	[ $result = 0 ] || validate_data "$package" "$type" "$name" "$@" >/dev/null
	[ -n "$call" ] || return $result
	"$call" "$name" "$result"
}
