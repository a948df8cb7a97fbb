# SPDX-License-Identifier: GPL-2.0-or-later
#
# natmap's configuration as uci commands for pinhold. For the init script, after config.sh.
#
# shellcheck shell=dash
# shellcheck disable=SC2034,SC2317 # called by functions.sh

# A mapping of natmap's is complete: print it as uci commands.
natmap_end() {
	local name=$natmap_name protocol=tcp bind=${natmap_port:-0} target n=1

	[ -n "$natmap_open" ] || return 0
	natmap_open=
	! ph_is_yes "$natmap_udp_mode" || protocol=udp
	case $name in
	cfg[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f])
		name=${protocol}_$(printf '%s\n' "$bind" | tr -c '0-9\n' _)
		[ "$bind" != 0 ] || name=${protocol}_any
		;;
	esac
	target=$name
	while list_contains natmap_names "$name" || uci -q get "pinhold.$name" >/dev/null; do
		n=$((n + 1))
		name=${target}_$n
	done
	ph_add natmap_names "$name"
	case $natmap_forward_target in
	'')
		# natmap translates nothing then: whoever listens on its port is reached.
		case $bind in
		*[!0-9]* | 0) target=none ;;
		*) target=:$bind ;;
		esac
		;;
	*:*) target=[$natmap_forward_target]:${natmap_forward_port:-0} ;;
	*) target=$natmap_forward_target:${natmap_forward_port:-0} ;;
	esac
	[ "${target%:0}" = "$target" ] || target=${target%:0}:public

	printf '\n# natmap.%s\n' "$natmap_name"
	printf 'set pinhold.%s=mapping\n' "$name"
	natmap_set enabled "$(ph_is_yes "$natmap_enable" && echo 1 || echo 0)"
	natmap_set protocol "$protocol"
	[ "$natmap_family" != ipv6 ] || natmap_set family ipv6
	natmap_set interface "$natmap_interface"
	natmap_set bind "$bind"
	natmap_set target "$target"
	natmap_set interval "$natmap_interval"
	natmap_list stun "$natmap_stun_server"
	natmap_list keepalive "$natmap_http_server"
	natmap_list hook "$natmap_notify_script"
	# Scripts for natmap know of no `down`.
	[ -z "$natmap_notify_script" ] || natmap_list hook_events "up change"
	printf '%s' "$natmap_said"
}

natmap_set() {
	[ -z "$2" ] || printf "set pinhold.%s.%s='%s'\n" "$name" "$1" "$2"
}

natmap_list() {
	local word

	for word in $(ph_words "$2"); do
		printf "add_list pinhold.%s.%s='%s'\n" "$name" "$1" "$word"
	done
}

natmap_section() {
	natmap_end
	[ -n "$1" ] || return 0
	natmap_said=
	if [ "$1" != natmap ]; then
		printf '\n# %s %s: not a mapping, left out\n' "$1" "$2"
		return 0
	fi
	natmap_open=1 natmap_name=$2
	natmap_enable='' natmap_family='' natmap_udp_mode='' natmap_interface='' natmap_interval='' natmap_stun_server=''
	natmap_http_server='' natmap_port='' natmap_forward_target='' natmap_forward_port='' natmap_notify_script=''
}

natmap_entry() {
	[ -n "$natmap_open" ] && [ -n "$2" ] || return 0
	case $2 in
	*"$NL"* | *\'* | *\\*)
		natmap_said="$natmap_said# $1: left out, it has a character that is not taken over$NL"
		return 0
		;;
	esac
	case $1 in
	enable) natmap_enable=$2 ;;
	family) natmap_family=$2 ;;
	ipv6) ! ph_is_yes "$2" || natmap_family=ipv6 ;;
	ipv4) ! ph_is_yes "$2" || natmap_family=ipv4 ;;
	udp_mode) natmap_udp_mode=$2 ;;
	interface) natmap_interface=$2 ;;
	interval) natmap_interval=$2 ;;
	stun_server) natmap_stun_server=$2 ;;
	http_server) natmap_http_server=$2 ;;
	port) natmap_port=$2 ;;
	forward_target) natmap_forward_target=$2 ;;
	forward_port) natmap_forward_port=$2 ;;
	notify_script) natmap_notify_script=$2 ;;
	log_stdout | log_stderr) natmap_said="$natmap_said# $1: left out, pinhold always logs$NL" ;;
	*) natmap_said="$natmap_said# $1 '$2': left out, pinhold has nothing of the kind$NL" ;;
	esac
}

natmap_import() {
	local broken commands

	if [ ! -f /etc/config/natmap ]; then
		echo "there is no /etc/config/natmap" >&2
		return 1
	fi
	if ! broken=$(uci show natmap 2>&1 >/dev/null); then
		echo "/etc/config/natmap cannot be read: $broken" >&2
		return 1
	fi
	if [ "$1" = apply ] && [ -n "$(uci -q changes pinhold)" ]; then
		echo "there are changes of pinhold's configuration that wait: uci commit pinhold, or uci revert pinhold" >&2
		return 1
	fi
	commands=$(
		natmap_open='' natmap_names=''
		config_cb() { natmap_section "$@"; }
		option_cb() { natmap_entry "$@"; }
		list_cb() { natmap_entry "$@"; }
		config_load natmap
		natmap_end
	)
	printf '%s\n\n' "$commands"
	if [ "$1" != apply ]; then
		echo "# To carry this out: service pinhold import_natmap apply"
		return 0
	fi
	# It says what fails, goes on, and is content all the same.
	broken=$(printf '%s\n' "$commands" | grep -v '^#' | uci batch 2>&1 >/dev/null)
	if [ -n "$broken" ] || ! broken=$(uci commit pinhold 2>&1); then
		uci -q revert pinhold
		echo "nothing is taken over: $broken" >&2
		return 1
	fi
	echo "# Done. One port has one holder: service natmap stop; service natmap disable; service pinhold restart"
}
