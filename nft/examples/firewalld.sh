#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# pinhold beside firewalld:
#
#	sudo sh firewalld.sh ZONE PORT/PROTOCOL...            e.g. sudo sh firewalld.sh public 8443/tcp
#	sudo sh firewalld.sh --undo ZONE PORT/PROTOCOL...
#
# ZONE is the zone of your interface towards the Internet (`firewall-cmd --get-active-zones`), PORT the bind
# port of a mapping, PROTOCOL tcp or udp.
#
# firewalld accepts whatever has been translated to another port or address (`ct status dnat accept`), here
# and on the way to a machine behind this one, in every zone. So most mappings work as soon as pinhold runs,
# without this. It is needed where
#
# - the service listens on the bind port itself, so that there is nothing to translate;
# - the mapping should outlive the loss of all connection tracking (`conntrack -F`): then a packet from one of
#   pinhold's own servers looks like a stranger's who comes to the bind port.
#
# It opens no more than the mapping does already: whoever comes to that port from outside is pinhold's anyway.
#
# firewalld cannot be told to look at pinhold's mark. Its zones, policies and rich rules know no connection
# mark. A direct rule (`--direct --add-rule ipv4 filter INPUT 0 -m connmark ... -j ACCEPT`) ends up in another
# table, and firewalld rejects what that one has accepted. A rule put into firewalld's own table by nft works
# until the next `firewall-cmd --reload`, which makes the table anew.
#
# (All of this is true of FirewallBackend=nftables, the default.)

set -eu

verb=add
if [ "${1-}" = --undo ]; then
	verb=remove
	shift
fi
if [ $# -lt 2 ]; then
	echo "usage: firewalld.sh [--undo] ZONE PORT/PROTOCOL..." >&2
	exit 2
fi

zone=$1
shift
for port in "$@"; do
	# Once for now, and once for every reload and start from now on.
	firewall-cmd --zone="$zone" --"$verb"-port="$port"
	firewall-cmd --permanent --zone="$zone" --"$verb"-port="$port"
done
