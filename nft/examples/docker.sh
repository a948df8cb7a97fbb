#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# pinhold beside Docker:
#
#	sudo sh docker.sh
#	sudo sh docker.sh --undo
#
# Docker drops whatever would pass through the machine (its FORWARD policy is DROP), also on the way to
# other machines in your LAN. It leaves one chain to you, DOCKER-USER, which comes first, and this adds a
# rule to it: what pinhold lets in may pass, and nothing else. It has no rules for services on this machine
# itself.
#
# Docker keeps the chain when it restarts, but nobody keeps it when the machine does. So let Docker's service
# do it at every start: put this file at /usr/local/sbin/pinhold-docker.sh, write these two lines to
# /etc/systemd/system/docker.service.d/pinhold.conf
#
#	[Service]
#	ExecStartPost=/bin/sh /usr/local/sbin/pinhold-docker.sh
#
# and then `sudo systemctl daemon-reload`. To undo it for good, delete both files.
#
# A container as pinhold's target: give the container's own address (and one that stays: `docker network
# create --subnet 172.30.0.0/24 web`, then `docker run --network web --ip 172.30.0.2 ...`), with the port
# inside the container. It need not be published (`-p`). A published port of this machine, `target = :8080`,
# is no substitute: what pinhold has translated already, Docker does not translate on to the container. At
# best Docker's proxy program answers, and the container sees the bridge's address in place of the client's.

set -eu

rule="-m connmark --mark 0x08000000/0x08000000 -j ACCEPT"

# For IPv6 only where Docker uses it.
for iptables in iptables ip6tables; do
	if ! $iptables -w -n -L DOCKER-USER >/dev/null 2>&1; then
		[ $iptables = iptables ] || continue
		echo "docker.sh: there is no chain DOCKER-USER: is Docker running?" >&2
		exit 1
	fi
	# shellcheck disable=SC2086 # several words
	if $iptables -w -C DOCKER-USER $rule 2>/dev/null; then
		[ "${1-}" != --undo ] || $iptables -w -D DOCKER-USER $rule
	else
		[ "${1-}" = --undo ] || $iptables -w -I DOCKER-USER $rule
	fi
done
