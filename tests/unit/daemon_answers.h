/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a daemon answers: a line about itself, and one for each mapping. */

#define DAEMON(count)                                                                       \
	"{\"version\":\"0.1.0\",\"pid\":4711,\"config\":\"/etc/pinhold.conf\",\"started\":" \
	"\"2026-11-21T08:00:00Z\",\"table\":{\"installed\":true,\"ownership\":\"owner\","   \
	"\"error\":null,\"foreign_change\":null},\"mappings\":" count "}"

#define UP                                                                                          \
	"{\"name\":\"web\",\"protocol\":\"tcp\",\"family\":\"ipv4\",\"state\":\"up\",\"why\":null," \
	"\"interface\":\"wan\",\"public\":{\"address\":\"203.0.113.7\",\"port\":32451,\"ip4p\":"    \
	"\"2001::7ec3:cb00:7107\"},\"private\":{\"address\":\"100.64.0.2\",\"port\":8443},"         \
	"\"own_port\":null,\"uplink\":null,"                                                        \
	"\"target\":\"192.168.10.50:443\",\"since\":\"2026-11-21T08:00:10Z\",\"endpoint_since\":"   \
	"\"2026-11-21T08:00:10Z\",\"changes\":3,\"verified\":\"2026-11-21T10:00:00Z\","             \
	"\"can_verify\":true,\"endpoint_independent\":true,\"holders\":[{\"server\":"               \
	"\"192.0.2.13:80\",\"state\":\"open\",\"since\":\"2026-11-21T08:00:10Z\",\"rtt_ms\":23},"   \
	"{\"server\":\"192.0.2.14:80\",\"state\":\"connecting\",\"since\":null,\"rtt_ms\":null}],"  \
	"\"connections\":12,\"hooks\":[{\"path\":\"/etc/pinhold/on-change\",\"running\":false,"     \
	"\"pid\":null,\"owed\":false,"                                                              \
	"\"last\":{\"event\":\"up\",\"ended\":\"2026-11-21T08:00:11Z\",\"result\":\"failed\","      \
	"\"status\":7,\"signal\":null,\"error\":null},\"retry\":\"2026-11-21T10:14:23Z\"}]}"

#define DOWN                                                                                         \
	"{\"name\":\"a-name-of-thirty-two-octets-here\",\"protocol\":\"udp\",\"family\":\"ipv6\","   \
	"\"state\":\"opening\",\"why\":\"none of the STUN servers has answered so far, and this is " \
	"a long explanation of it\",\"interface\":null,\"public\":null,\"private\":null,"            \
	"\"own_port\":null,\"uplink\":null,\"target\":"                                              \
	"\"[2001:db8:1234:5678:9abc:def0:1234:5678]:51820\",\"since\":null,\"endpoint_since\":"      \
	"null,\"changes\":0,\"verified\":null,\"can_verify\":false,\"endpoint_independent\":null,"   \
	"\"holders\":[],\"connections\":null,\"hooks\":[]}"

#define UP6                                                                                         \
	"{\"name\":\"wg6\",\"protocol\":\"udp\",\"family\":\"ipv6\",\"state\":\"up\",\"why\":null," \
	"\"interface\":\"wan\",\"public\":{\"address\":\"2001:db8:1234:5678:9abc:def0:1234:5678\"," \
	"\"port\":51820,\"ip4p\":null},\"private\":{\"address\":"                                   \
	"\"2001:db8:1234:5678:9abc:def0:1234:5678\",\"port\":51820},"                               \
	"\"own_port\":40001,\"uplink\":2,\"target\":\":51820\","                                    \
	"\"since\":\"2026-11-19T08:00:10Z\",\"endpoint_since\":\"2026-11-19T08:00:10Z\","           \
	"\"changes\":0,\"verified\":null,\"can_verify\":false,\"endpoint_independent\":null,"       \
	"\"holders\":[],\"connections\":0,\"hooks\":[]}"
