# SPDX-License-Identifier: GPL-2.0-or-later
#
# The firewall's includes: two static files for each zone, which let in what has pinhold's mark. For the init script, after
# config.sh; ph_zones and ph_bit are what that has read.
#
# shellcheck shell=dash
# shellcheck disable=SC2153,SC2154,SC2317 # of config.sh and rc.common

# ph_ours FILE: it is the packaged text, with whatever number.
ph_ours() {
	[ "$(sed 's/0x[0-9a-fA-F]\{1,8\}/'"$DEFAULT_BIT"'/g' "$1")" = "$(cat "$INCLUDE")" ]
}

# ph_include DIRECTORY: the file in it is what it has to be, or is somebody's, and left alone.
ph_include() {
	local file=$1/${INCLUDE##*/} text

	text=$(sed "s/$DEFAULT_BIT/$ph_bit/g" "$INCLUDE")
	if [ -e "$file" ]; then
		[ "$(cat "$file")" != "$text" ] || return 0
		if ! ph_ours "$file"; then
			ph_damaged=1
			ph_log err "$file was changed by hand; if it is wrong, no firewall is loaded at the next" \
				"start. Left as it is; delete it, and it is written anew"
			return 0
		fi
	fi
	mkdir -p "$1"
	if printf '%s\n' "$text" >"$file.new" && mv "$file.new" "$file"; then
		ph_changed=1
		ph_log notice "wrote $file"
	else
		rm -f "$file.new"
		ph_log err "$file cannot be written: nobody gets in by that zone"
	fi
}

# Takes away what was written for zones that are not in ph_zones (those of wan are the package's).
ph_stale_includes() {
	local file directory zone

	for file in "$INCLUDES"/input_*/"${INCLUDE##*/}" "$INCLUDES"/forward_*/"${INCLUDE##*/}"; do
		[ -f "$file" ] || continue
		directory=${file%/*}
		zone=${directory##*/}
		zone=${zone#*_}
		if [ "$zone" = wan ] || list_contains ph_zones "$zone" || ! ph_ours "$file"; then
			continue
		fi
		rm -f "$file"
		rmdir "$directory" 2>/dev/null
		ph_changed=1
		ph_log notice "removed $file"
	done
}

# What there is to know of the firewall's own configuration, a line each.
ph_firewall_facts() {
	zone() {
		local name

		config_get name "$1" name
		echo "zone $name"
	}
	defaults() {
		local includes

		config_get_bool includes "$1" auto_includes 1
		echo "includes $includes"
	}
	config_load firewall
	config_foreach defaults defaults
	config_foreach zone zone
}

ph_firewall() {
	local facts zone chain said

	ph_zones=${ph_zones:-wan} ph_changed='' ph_damaged=''
	if [ ! -x /sbin/fw4 ]; then
		ph_log warn "the firewall here is not fw4: have yours accept connections whose mark has the bit $ph_bit," \
			"or nobody gets in"
		return
	fi
	facts=$(ph_firewall_facts)
	case $facts in
	*"includes 0"*)
		ph_log warn "/etc/config/firewall has auto_includes 0, so that fw4 does not read the files in $INCLUDES:" \
			"accept the mark $ph_bit by a rule of your own, or nobody gets in"
		;;
	esac
	for zone in $ph_zones; do
		case "$NL$facts$NL" in
		*"${NL}zone $zone$NL"*) ;;
		*) ph_log warn "/etc/config/firewall has no zone '$zone': nobody gets in by it (option zone in $UCI)" ;;
		esac
		for chain in input forward; do
			ph_include "$INCLUDES/${chain}_$zone"
		done
	done
	# The package's own: they say nothing where wan is no zone of ours, but must not name another's bit.
	for chain in input forward; do
		list_contains ph_zones wan || [ ! -e "$INCLUDES/${chain}_wan/${INCLUDE##*/}" ] ||
			ph_include "$INCLUDES/${chain}_wan"
	done
	ph_stale_includes
	[ -n "$ph_changed$ph_damaged" ] || return
	# A reload with a broken file ends with 0 and changes nothing; a start with one leaves no firewall at all.
	if ! said=$(fw4 check 2>&1); then
		ph_log err "fw4 check fails, so the firewall was not reloaded: $(printf '%s\n' "$said" | grep -m 1 -i error)"
	elif [ -n "$ph_changed" ]; then
		fw4 -q reload
	fi
}

firewall_remove_includes() {
	ph_zones=wan
	[ -f "$INCLUDE" ] && ph_stale_includes
	return 0
}
