# SPDX-License-Identifier: GPL-2.0-or-later
#
# /etc/config/pinhold -> pinhold.conf(5). For the init script, by BusyBox's ash.
#
# The file is written beside, shown to `pinhold test`, and only then renamed: what pinhold refuses never takes the
# place of what runs.
#
# An option is called as in pinhold.conf(5), with underscores. Three of `global` are not pinhold's: `zone`, `jail`, and
# of `mark` the firewall's include files want the bit, in hex.
#
# shellcheck shell=dash
# rc.common brings functions and network.sh, other files use what is set here; no list here has a word with white space:
# shellcheck disable=SC2034,SC2317,SC1091,SC2013

PROG=/usr/sbin/pinhold
PUBLISHER=/usr/libexec/pinhold-publish
UCI=/etc/config/pinhold
CONF=/var/etc/pinhold.conf
NEW=$CONF.new
RUN=/var/run/pinhold
STATE=/var/lib/pinhold
OWNER=pinhold
CAPABILITIES=/etc/capabilities/pinhold.json
SECCOMP=/etc/seccomp/pinhold.json
SECCOMP_LIB=/lib/libpreload-seccomp.so
INCLUDE=/usr/share/pinhold/50-pinhold.nft
INCLUDES=/usr/share/nftables.d/chain-post
DEFAULT_BIT=0x08000000

# What a section may have, as uci_load_validate wants it. pinhold itself judges the values.
BOTH='interface:string stun:list(string) keepalive:list(string) interval:string detect:string verify:string
	fwmark:string'
GLOBAL="$BOTH mark:string zone:list(string) jail:bool"
MAPPING="$BOTH"' protocol:or("tcp","udp") family:or("ipv4","ipv6") bind:string target:string enabled:bool
	rotate:string hook:list(string) hook_events:list(string) loopback:bool snat:bool allow:list(string)
	limit:string reply_route:string publish:list(string)'
PUBLISH='type:or("webhook","cloudflare-dns","cloudflare-kv","qbittorrent","transmission") ca_file:string
	url:string method:string header:list(string) body:string events:list(string)
	token_file:string record:list(string) zone:string ttl:string api:string
	account:string namespace:string key:string value:string
	username:string password_file:string'

NL='
'
CR=$(printf '\r')

# ---- words ----

# ph_log LEVEL TEXT...: one line in the system's log, and on the terminal of whoever called.
ph_log() {
	local level=$1

	shift
	logger -t pinhold -p "daemon.$level" "$*"
	[ ! -t 2 ] || printf 'pinhold: %s\n' "$*" >&2
}

# ph_refuse WHERE TEXT: a mistake of the user's; what runs goes on.
ph_refuse() {
	ph_refused=1
	ph_log err "$UCI: ${1:+$1: }$2"
}

ph_words() {
	# White space separates, and nothing is a pattern.
	set -f
	# shellcheck disable=SC2086 # that is what it is for
	printf '%s\n' $1
	set +f
}

# ph_add VARIABLE WORD: once.
ph_add() {
	list_contains "$1" "$2" || append "$1" "$2"
}

ph_hyphens() {
	local text=$1

	while :; do
		case $text in
		*_*) text=${text%%_*}-${text#*_} ;;
		*) break ;;
		esac
	done
	printf '%s\n' "$text"
}

ph_is_no() {
	case $1 in
	0 | no | off | false | disabled) return 0 ;;
	esac
	return 1
}

ph_is_yes() {
	case $1 in
	1 | yes | on | true | enabled) return 0 ;;
	esac
	return 1
}

ph_is_hex() {
	case $1 in
	0x*[!0-9a-fA-F]* | 0x | 0x?????????*) return 1 ;;
	0x*) return 0 ;;
	esac
	return 1
}

# ---- interfaces ----

# ph_device NAME: sets ph_dev to what pinhold.conf wants for an interface: `auto`, an address and a device as they are,
# for a logical interface its device. Where that is not up, the device that it had, or will probably have, so that
# pinhold waits for the right one and need not be told when it comes.
ph_device() {
	local name=$1 proto

	ph_dev=$name
	case $name in
	auto | [0-9]*.[0-9]*.[0-9]*.[0-9]*) return ;;
	*[!A-Za-z0-9_]*) return ;; # no name of UCI's, and not to be let into network.sh, which evaluates it
	esac
	if network_get_device ph_dev "$name" && [ -n "$ph_dev" ]; then
		ph_add ph_logical "$name"
		# For the time when it is down: see below.
		printf '# interface %s = %s\n' "$name" "$ph_dev" >>"$NEW"
		return
	fi
	ph_dev=$name
	[ "$(uci -q get "network.$name")" = interface ] || return
	ph_add ph_logical "$name"
	if [ -f "$CONF" ]; then
		ph_dev=$(sed -n "s/^# interface $name = //p" "$CONF" | head -n 1)
		if [ -n "$ph_dev" ]; then
			printf '# interface %s = %s\n' "$name" "$ph_dev" >>"$NEW"
			return
		fi
	fi
	proto=$(uci -q get "network.$name.proto")
	case $proto in
	pppoe | pppoa | pptp | l2tp | 3g) ph_dev=$proto-$name ;;
	dhcp | dhcpv6 | static)
		ph_dev=$(uci -q get "network.$name.device")
		case $ph_dev in
		'' | *[!A-Za-z0-9_.-]*) ph_dev=$name ;;
		esac
		;;
	*) ph_dev=$name ;;
	esac
}

# ---- /etc/config/pinhold -> pinhold.conf ----

# ph_line KEY VALUE. Always in quotes: whatever the value holds, it is one value of that key.
ph_line() {
	local value=$2

	case $value in
	*"$NL"* | *"$CR"*)
		ph_refuse "$ph_where" "option $1: has a line break in it"
		return
		;;
	*[\\\"]*) value=$(printf '%s\n' "$value" | sed 's/[\\"]/\\&/g') ;;
	esac
	printf '%s = "%s"\n' "$(ph_hyphens "$1")" "$value" >>"$NEW"
}

# The section before this one is complete.
ph_section_end() {
	[ -z "$ph_events" ] || ph_line "$ph_events_key" "$ph_events"
	ph_events=
	[ "$ph_type" != mapping ] || [ "$ph_on" = 0 ] || ph_enabled=$((ph_enabled + 1))
	ph_type=
}

ph_zone() {
	local zone

	for zone in $(ph_words "$1"); do
		case $zone in
		.* | *[!A-Za-z0-9_.-]*) ph_refuse "$ph_where" "option zone: \"$zone\" is no name of a firewall zone" ;;
		*) ph_add ph_zones "$zone" ;;
		esac
	done
}

# ph_entry OPTION VALUE, as it stands in the file. An empty value means: not given, as everywhere in UCI.
ph_entry() {
	local key=$1 value=$2 rules

	[ -n "$value" ] || return 0
	case $ph_type in
	pinhold) rules=$GLOBAL ;;
	mapping) rules=$MAPPING ;;
	publish) rules=$PUBLISH ;;
	*) return 0 ;;
	esac
	case " $(ph_words "$rules" | tr '\n' ' ')" in
	*" $key:"*) ;;
	*)
		ph_refuse "$ph_where" "there is no option $key"
		return 0
		;;
	esac
	case $ph_type.$key in
	pinhold.zone)
		ph_zone "$value"
		return 0
		;;
	pinhold.jail)
		ph_jail=$value
		return 0
		;;
	pinhold.mark)
		ph_bit=${value%%/*}
		ph_is_hex "$ph_bit" ||
			ph_refuse "$ph_where" "option mark: \"$ph_bit\" is not 0x with up to eight hexadecimal digits"
		;;
	*.interface)
		ph_device "$value"
		value=$ph_dev
		;;
	mapping.enabled | mapping.loopback | mapping.snat)
		! ph_is_yes "$value" || value=yes
		! ph_is_no "$value" || value=no
		[ "$key.$value" != enabled.no ] || ph_on=0
		;;
	mapping.reply_route) ! ph_is_no "$value" || value=no ;;
	mapping.hook_events | publish.events)
		ph_events_key=$key
		ph_events="${ph_events:+$ph_events, }$value"
		return 0
		;;
	esac
	ph_line "$key" "$value"
}

ph_section() {
	local header

	ph_section_end
	[ -n "$1" ] || return 0 # the file's end
	ph_type=$1
	ph_where="$1 '$2'"
	ph_on=1
	case $1.$2 in
	pinhold.global)
		ph_where=global
		header=global
		;;
	pinhold.*) ph_refuse "$ph_where" "that section must be called: config pinhold 'global'" ;;
	mapping.cfg[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f] | \
		publish.cfg[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f])
		ph_refuse "$ph_where" "that section has no name; write: config $1 'NAME'"
		;;
	mapping.* | publish.*) header="$1 $2" ;;
	*) ph_refuse "$ph_where" "there are no sections of that type" ;;
	esac
	[ "$ph_type" != publish ] || ph_publishers=1
	if [ -n "$header" ]; then
		printf '\n[%s]\n' "$header" >>"$NEW"
	else
		ph_type=
	fi
}

validate_pinhold() {
	# shellcheck disable=SC2046 # one word a rule
	uci_load_validate pinhold pinhold "$1" "$2" $(ph_words "$GLOBAL")
}

validate_mapping() {
	# shellcheck disable=SC2046
	uci_load_validate pinhold mapping "$1" "$2" $(ph_words "$MAPPING")
}

validate_publish() {
	# shellcheck disable=SC2046
	uci_load_validate pinhold publish "$1" "$2" $(ph_words "$PUBLISH")
}

# The words of `pinhold test` on $NEW (standard input) with the section instead of the line of a file that the user has
# not written.
ph_by_section() {
	awk '
		FNR == NR {
			if ($0 ~ /^\[/) {
				section = substr($0, 2, length($0) - 2)
				sub(/^(mapping|publish) /, "&\047", section)
				section = section (section == "global" ? "" : "\047") ": "
			}
			where[FNR] = section
			next
		}
		index($0, "pinhold: " file ":") == 1 {
			text = substr($0, length("pinhold: " file ":") + 1)
			line = text + 0
			sub(/^[0-9]+:/, "", text)
			sub(/^ /, "", text)
			print where[line] text
			next
		}
		{ print }
	' file="$NEW" "$NEW" -
}

# Whether pinhold takes $NEW: asked as the user as whom it will run, who must reach what is named in it.
ph_accepted() {
	local said level=warn status line

	if ph_jailed; then
		# Without a file of process numbers it would take the running pinhold for this one.
		said=$(start-stop-daemon -S -q -c "$OWNER:$OWNER" -p "$RUN.test" -x "$PROG" -- \
			test -c "$NEW" 2>&1 >/dev/null)
	else
		said=$("$PROG" test -c "$NEW" 2>&1 >/dev/null)
	fi
	status=$?
	[ $status = 0 ] || level=err
	[ -z "$said" ] || printf '%s\n' "$said" | ph_by_section | while read -r line; do
		ph_log $level "$UCI: $line"
	done
	return $status
}

# Whether it may run without being root.
ph_jailed() {
	! ph_is_no "$ph_jail" && [ -x /sbin/ujail ] && [ -f "$CAPABILITIES" ] && user_exists "$OWNER"
}

# What is refused decides nothing, nor does it decide as whom the settings before go on.
ph_kept() {
	if [ -f "$CONF" ]; then
		ph_jail=$(sed -n 's/^# jail //p' "$CONF" | head -n 1)
	fi
	if [ -f "$CONF" ]; then
		ph_log err "$UCI is not used$1: the settings before go on"
	else
		ph_log err "$UCI is not used$1: pinhold is not started"
	fi
}

# $CONF from $UCI. 1: it stays as it was, and why is in the log.
ph_render() {
	local broken

	ph_refused='' ph_enabled=0 ph_type='' ph_events='' ph_zones='' ph_jail='' ph_bit=$DEFAULT_BIT ph_publishers='' ph_logical=''
	# config_load passes over a line that it does not understand, and the rest would be somebody else's wish.
	if ! broken=$(uci show pinhold 2>&1 >/dev/null); then
		ph_refuse "" "cannot be read: ${broken:-there is no such file}"
		ph_kept
		return 1
	fi
	mkdir -p "${CONF%/*}"
	rm -f "$NEW"
	(umask 077 && printf '# Made of %s; changes here are lost.\n' "$UCI" >"$NEW") || return 1
	config_cb() { ph_section "$@"; }
	option_cb() { ph_entry "$@"; }
	list_cb() { ph_entry "$@"; }
	config_load pinhold
	ph_section_end
	reset_cb
	# For the time when the file is refused: see above.
	printf '# jail %s\n' "$(ph_is_no "$ph_jail" && echo 0 || echo 1)" >>"$NEW"
	if group_exists "$OWNER"; then
		chown "root:$OWNER" "$NEW"
		chmod 0640 "$NEW"
	fi
	ph_accepted || ph_refused=1
	if [ -n "$ph_refused" ]; then
		ph_kept " ($NEW is what it came to)"
		return 1
	fi
	[ -z "$ph_publishers" ] || [ -x "$PUBLISHER" ] ||
		ph_log warn "$UCI: its publish sections need the package pinhold-publish, which is not installed"
	if [ -f "$CONF" ] && [ -n "$ph_reload" ] && ! grep -qxF "$(grep '^# jail ' "$NEW")" "$CONF"; then
		ph_log notice "$UCI: global: option jail: needs a restart (service pinhold restart)"
	fi
	if [ "$ph_enabled" = 0 ]; then
		rm -f "$NEW" "$CONF"
		ph_log notice "$UCI: no mapping is enabled, so there is nothing to hold"
	else
		mv "$NEW" "$CONF"
	fi
}
