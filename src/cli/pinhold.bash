# SPDX-License-Identifier: GPL-2.0-or-later
# Completion for bash: commands, their options, the running daemon's mappings, fields of `get`.
# shellcheck shell=bash

# The names of the mappings that have a state file.
_pinhold_mappings() {
	local file

	for file in "${RUNTIME_DIRECTORY:-/run/pinhold}"/*.json; do
		if [[ -e $file ]]; then
			file=${file##*/}
			echo "${file%.json}"
		fi
	done
}

# _pinhold_words WORDS CURRENT: options only to whoever has typed a hyphen.
_pinhold_words() {
	local word

	while IFS= read -r word; do
		if [[ $word != -* || $2 == -* ]]; then
			COMPREPLY+=("$word")
		fi
	done < <(compgen -W "$1" -- "$2")
}

_pinhold_files() {
	local name

	compopt -o filenames 2>/dev/null
	while IFS= read -r name; do
		COMPREPLY+=("$name")
	done < <(compgen -f -- "$1")
}

_pinhold() {
	local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
	local single="-p -t -b -i -4 -6 -u -s -h -k -c -e -f -d -C -T -w"

	COMPREPLY=()
	if [[ $COMP_CWORD -eq 1 ]]; then
		_pinhold_words "run status get watch reload test ruleset --help --version $single" "$current"
		return
	fi
	case $command.$before in
	run.-c | test.-c | ruleset.-c | *.-e) _pinhold_files "$current" ;;
	*.-i) _pinhold_words "$(compgen -A directory /sys/class/net/ | sed 's|.*/||')" "$current" ;;
	run.* | test.*) _pinhold_words "-c --help" "$current" ;;
	status.*) _pinhold_words "--json --help $(_pinhold_mappings)" "$current" ;;
	get.get) _pinhold_words "--help $(_pinhold_mappings)" "$current" ;;
	get.*)
		if [[ $COMP_CWORD -eq 3 ]]; then
			_pinhold_words "state why public-address public-port public-endpoint ip4p private-address private-port
				private-endpoint own-port protocol interface uplink target since changes verified connections" \
				"$current"
		fi
		;;
	watch.* | reload.*) _pinhold_words "--help" "$current" ;;
	*) _pinhold_words "$single" "$current" ;;
	esac
}

complete -F _pinhold pinhold
