# SPDX-License-Identifier: GPL-2.0-or-later
# What OpenWrt's build system defines, as far as the package's Makefile uses it.
INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_DATA:=install -m0644
INSTALL_CONF:=install -m0600
CP:=cp -fpR
