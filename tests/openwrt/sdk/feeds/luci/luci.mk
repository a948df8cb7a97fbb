# SPDX-License-Identifier: GPL-2.0-or-later
# What LuCI's feed makes a package of.
describe:
	@echo '$(LUCI_TITLE) | $(LUCI_DEPENDS) | $(LUCI_PKGARCH) | $(PKG_VERSION)'
