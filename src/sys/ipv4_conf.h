/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * net.ipv4.conf.INTERFACE.KEY as files, because sysctl(8)'s notation takes the dot of eth0.5 for a
 * separator. -EINVAL: no interface's name can be like this; `all` and `default` are the kernel's
 * own (net/ipv4/devinet.c, sysctl_dev_name_is_allowed()). -ENOENT: there is no such interface.
 */

/* 0 or -errno. */
int ipv4_conf_read(const char *interface, const char *key, int *ret_value);
/* The same of all interfaces together (conf.all). */
int ipv4_conf_read_all(const char *key, int *ret_value);
/* Whether a value could be written now. 0 or -errno. */
int ipv4_conf_writable(const char *interface, const char *key);
int ipv4_conf_write(const char *interface, const char *key, int value);
