# SPDX-License-Identifier: GPL-2.0-or-later
#
#   make TOPDIR=.. INCLUDE_DIR=.. PKG_BUILD_DIR=.. PKG_INSTALL_DIR=.. DESTDIR=.. prepare|install|describe
#
# As there, a package's install recipe is expanded once when it is read and once when it is run, and scripts once.

prepare:
	$(Build/Prepare)

define BuildPackage
install: install-$(1)
describe: describe-$(1)
.PHONY: install-$(1) describe-$(1)

install-$(1):
$(call Package/$(1)/install,$(DESTDIR)/$(1))
	$$(foreach script,conffiles postinst prerm postrm,$$(file >$$(DESTDIR)/$(1).$$(script),$$(Package/$(1)/$$(script))))

describe-$(1):
	$$(eval $$(Package/$(1)))
	@echo '$(1) VERSION $$(PKG_VERSION)'
	@echo '$(1) DEPENDS $$(DEPENDS)'
	@echo '$(1) USERID $$(USERID)'
	@echo '$(1) REBUILT $$(sort $$(notdir $$(PKG_FILE_DEPENDS))) $$(PKG_CONFIG_DEPENDS)'
	@echo '$(1) MESON $$(MESON_ARGS)'
endef

.PHONY: prepare install describe
