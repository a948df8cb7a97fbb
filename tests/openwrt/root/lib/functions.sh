#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
# The interface of OpenWrt's functions.sh and uci.sh, as far as the init script uses it: variables
# CONFIG_SECTION_OPTION made by evaluating what `uci export` prints, and callbacks on the way.
# shellcheck disable=SC2154,SC2317 # made by eval, called by whoever includes this

reset_cb() {
	config_cb() { :; }
	option_cb() { :; }
	list_cb() { :; }
}
reset_cb

append() {
	eval "$1=\"\${$1:+\$$1\${3:- }}\$2\""
}

list_contains() {
	eval "case \" \$$1 \" in *\" \$2 \"*) return 0 ;; esac"
	return 1
}

config_set() {
	eval "CONFIG_$1_$2=\$3"
}

config_get() {
	case $1$2$3 in
	*[!A-Za-z0-9_]*) return ;;
	esac
	eval "$1=\${CONFIG_$2_$3:-\$4}"
}

config_get_bool() {
	config_get "$1" "$2" "$3" "$4"
	eval "case \$$1 in
	1 | on | true | yes | enabled) $1=1 ;;
	0 | off | false | no | disabled) $1=0 ;;
	*) $1=\$4 ;;
	esac"
}

package() {
	:
}

config() {
	CONFIG_SECTION=$2
	append CONFIG_SECTIONS "$2"
	config_set "$2" TYPE "$1"
	config_cb "$1" "$2"
}

option() {
	config_set "$CONFIG_SECTION" "$1" "$2"
	option_cb "$1" "$2"
}

list() {
	append "CONFIG_${CONFIG_SECTION}_$1" "$2"
	list_cb "$1" "$2"
}

# Not strict, as on the device: what cannot be understood is passed over.
config_load() {
	local data status

	CONFIG_SECTIONS='' CONFIG_SECTION=''
	data=$(uci -P /var/state -S -n export "$1" 2>/dev/null)
	status=$?
	[ $status = 0 ] && eval "$data"
	[ -z "$CONFIG_SECTION" ] || config_cb
	return $status
}

config_foreach() {
	local call=$1 wanted=$2 section type

	shift 2
	for section in $CONFIG_SECTIONS; do
		config_get type "$section" TYPE
		[ "$type" != "$wanted" ] || "$call" "$section" "$@"
	done
}

user_exists() {
	grep -q "^$1:" /etc/passwd
}

group_exists() {
	grep -q "^$1:" /etc/group
}
