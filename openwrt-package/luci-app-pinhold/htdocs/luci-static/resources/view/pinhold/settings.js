// SPDX-License-Identifier: GPL-2.0-or-later
'use strict';
'require form';
'require uci';
'require ui';
'require view';

/* What pinhold itself would refuse is said here already; it has the last word all the same (see the system's log). */

const PORT = '(?:[1-9][0-9]{0,4})';

function is_port(text) {
	return new RegExp(`^${PORT}$`).test(text) && Number(text) <= 65535;
}

function bind(section_id, value) {
	const range = value.match(/^([0-9]+)[-~]([0-9]+)$/);

	if (value === '0' || is_port(value))
		return true;
	if (range && is_port(range[1]) && is_port(range[2]) && Number(range[1]) <= Number(range[2]))
		return true;
	return _('A port, a range of ports (27015-27030, or 27015~27030 for a random one of them), or 0');
}

function target(section_id, value) {
	const parts = value.match(/^(|[0-9.]+|\[[0-9a-fA-F:.]+\]):(public|[0-9]+)$/);

	if (value === 'none' || (parts && (parts[2] === 'public' || is_port(parts[2]))))
		return true;
	return _('ADDRESS:PORT with a numeric address ([ADDRESS]:PORT if it is IPv6), :PORT for this router, or none');
}

function network(section_id, value) {
	return !value || /^[A-Za-z0-9_.:@-]+$/.test(value) ? true : _('The name of a network or a device, or an address');
}

function zone(section_id, value) {
	return !value || /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/.test(value) ? true : _('The name of a firewall zone');
}

function duration(section_id, value) {
	return !value || /^[0-9]+[smhd]?$/.test(value) ? true : _('A number with s, m, h or d, such as 30s');
}

function server(section_id, value) {
	return !value || /^([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]+)?$/.test(value) || /^[0-9a-fA-F:]+$/.test(value)
		? true : _('HOST or HOST:PORT');
}

function path(section_id, value) {
	return !value || value.startsWith('/') ? true : _('An absolute path');
}

function limit(section_id, value) {
	return !value || /^[0-9]+\/(second|minute|hour|day)( burst [0-9]+)?$/.test(value)
		? true : _('Such as 50/second burst 100');
}

function allow(section_id, value) {
	return !value || /^@\/./.test(value) || /^[0-9a-fA-F:.]+(\/[0-9]+)?$/.test(value)
		? true : _('ADDRESS, ADDRESS/BITS, or @/path/of/a/file');
}

function record(section_id, value) {
	return !value || /^(A|AAAA|IP4P|HTTPS|TXT) \S+|^SRV \S+ \S+$/.test(value)
		? true : _('TYPE NAME, such as A home.example.com; SRV _service._tcp.NAME HOST');
}

function web_address(section_id, value) {
	return !value || /^https?:\/\/[^\s]+$/.test(value) ? true : _('Begins with https:// or http://');
}

/* A mapping's name is a counter's in nftables, and a section's in UCI, where both kinds share their names. */
function section_name(name) {
	if (!/^[A-Za-z][A-Za-z0-9_]{0,31}$/.test(name))
		return _('A name begins with a letter and has up to 32 letters, digits and underscores');
	return uci.get('pinhold', name) ? _('There is a section of that name already') : true;
}

function add_named(ev, name) {
	const verdict = section_name(name);

	if (verdict === true)
		return form.GridSection.prototype.handleAdd.call(this, ev, name);
	ui.addNotification(null, E('p', verdict), 'warning');
	return Promise.resolve();
}

/* The words that the init script takes, where the widget knows but one for each. */
function load_flag(section_id) {
	const value = uci.get('pinhold', section_id, this.option);

	if ([ '1', 'yes', 'on', 'true', 'enabled' ].includes(value))
		return '1';
	return [ '0', 'no', 'off', 'false', 'disabled' ].includes(value) ? '0' : value;
}

/* Publishers that have been saved since the page was made can be chosen, too. */
function load_publishers(section_id) {
	const names = uci.sections('pinhold', 'publish').map((s) => s['.name']);

	this.keylist = [ ...names ];
	this.vallist = [ ...names ];
	return uci.get('pinhold', section_id, this.option);
}

function add(section, widget, name, title, description, settings) {
	const option = section.option(widget, name, title, description);

	return Object.assign(option, settings);
}

function common(map, around) {
	const s = map.section(form.NamedSection, 'global', 'pinhold', _('For all mappings'));

	s.addremove = false;
	s.tab('general', _('General'));
	s.tab('advanced', _('Advanced'));
	const general = (...args) => Object.assign(s.taboption('general', ...args.slice(0, 4)), args[4]);
	const advanced = (...args) => Object.assign(s.taboption('advanced', ...args.slice(0, 4)), args[4]);

	general(form.Value, 'interface', _('Interface'),
		_('Towards the Internet: a network, a device or an address. Not given: that of the default route.'),
		{ validate: network, choices: around.networks });
	general(form.DynamicList, 'zone', _('Firewall zones'),
		_('By which connections come in; they are opened for what pinhold lets in, and for nothing else. Not given: wan.'),
		{ validate: zone, choices: around.zones });
	general(form.DynamicList, 'stun', _('STUN servers'),
		_('They say what the public endpoint is. Not given: a built-in list.'), { validate: server });
	general(form.DynamicList, 'keepalive', _('Keep-alive servers'),
		_('HTTP servers to which TCP mappings keep a connection. Not given: a built-in list.'), { validate: server });
	advanced(form.Value, 'interval', _('Interval'), _('Between keep-alive requests.'),
		{ validate: duration, placeholder: '30s' });
	advanced(form.Value, 'detect', _('Detection'), _('How soon a connection that went silent is asked whether it lives.'),
		{ validate: duration, placeholder: '5s' });
	advanced(form.Value, 'verify', _('Verification'), _('How often the endpoint is asked for on a fresh connection.'),
		{ validate: duration, placeholder: '60s' });
	advanced(form.Flag, 'jail', _('Own user'),
		_('Run as the user pinhold where ujail is installed. Needs a restart of the service.'),
		{ default: '1', rmempty: false, load: load_flag });
}

function mappings(map, around) {
	const s = map.section(form.GridSection, 'mapping', _('Mappings'),
		_('Each holds one public port open and leads what arrives there to its target.'));
	const details = (...args) => Object.assign(add(s, ...args), { modalonly: true });

	s.addremove = true;
	s.anonymous = false;
	s.sortable = true;
	s.nodescriptions = true;
	s.handleAdd = add_named;

	add(s, form.Flag, 'enabled', _('Enabled'), null, { default: '1', rmempty: false, editable: true, load: load_flag });
	add(s, form.ListValue, 'protocol', _('Protocol'), null, { default: 'tcp', choices: [ 'tcp', 'udp' ] });
	add(s, form.Value, 'bind', _('Bind port'),
		_('The port of this router that is held open. Any free one will do; it is not the public one.'),
		{ validate: bind, rmempty: false, placeholder: '8443' });
	add(s, form.Value, 'target', _('Target'),
		_('The service: ADDRESS:PORT in your network, or :PORT on this router. ADDRESS:public is the same port as the public one, as BitTorrent clients want it.'),
		{ validate: target, rmempty: false, placeholder: '192.168.1.50:443' });
	details(form.ListValue, 'family', _('Address family'), null, { default: 'ipv4', choices: [ 'ipv4', 'ipv6' ] });
	details(form.Value, 'interface', _('Interface'), _('Not given: as for all mappings.'),
		{ validate: network, choices: around.networks });
	details(form.DynamicList, 'allow', _('Allowed clients'), _('Not given: everybody.'), { validate: allow });
	details(form.Value, 'limit', _('New connections'), _('At most, such as 50/second burst 100.'), { validate: limit });
	details(form.Flag, 'loopback', _('NAT loopback'), _('Clients inside reach the service by its public endpoint too.'),
		{ default: '1', rmempty: false, load: load_flag });
	details(form.Flag, 'snat', _('Masquerade clients'),
		_('For a target whose replies go to another router: it sees this router\'s address instead of its clients\'.'),
		{ default: '0', load: load_flag });
	details(form.Value, 'rotate', _('Rotation'), _('Move to the next port of the bind range this often.'), { validate: duration });
	details(form.DynamicList, 'hook', _('Hooks'), _('Programs that are called when the public endpoint changes.'),
		{ validate: path });
	details(form.MultiValue, 'publish', _('Publishers'), _('Who is told of the public endpoint.'), { load: load_publishers });
}

const TYPES = {
	webhook: () => _('Web service'),
	'cloudflare-dns': () => _('Cloudflare DNS'),
	'cloudflare-kv': () => _('Cloudflare Workers KV'),
	qbittorrent: () => 'qBittorrent',
	transmission: () => 'Transmission'
};

function publish(map) {
	const s = map.section(form.GridSection, 'publish', _('Publishers'),
		_('Need the package pinhold-publish. Secrets stand in files, written ${file:/etc/pinhold/NAME}.'));
	const of = (types, ...args) => {
		const option = Object.assign(add(s, ...args), { modalonly: true });

		types.forEach((type) => option.depends('type', type));
	};

	s.addremove = true;
	s.anonymous = false;
	s.nodescriptions = true;
	s.handleAdd = add_named;

	add(s, form.ListValue, 'type', _('Type'), null, { rmempty: false, choices: Object.keys(TYPES), titles: TYPES });
	of([ 'webhook', 'qbittorrent', 'transmission' ], form.Value, 'url', _('Address'),
		_('Of the web service, or of the client\'s web interface. ${public_port} and the like are replaced.'),
		{ validate: web_address, rmempty: false, placeholder: 'https://go.example.com/update-port' });
	of([ 'webhook' ], form.ListValue, 'method', _('Method'), _('Not given: POST with a body, GET without.'),
		{ optional: true, choices: [ '', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE' ] });
	of([ 'webhook' ], form.DynamicList, 'header', _('Header fields'), null,
		{ placeholder: 'Authorization: Bearer ${file:/etc/pinhold/worker.token}' });
	of([ 'webhook' ], form.Value, 'body', _('Body'), null, { placeholder: '{"port":"${public_port}","key":"home"}' });
	of([ 'cloudflare-dns', 'cloudflare-kv' ], form.Value, 'token_file', _('File with the API token'), null,
		{ validate: path, rmempty: false, placeholder: '/etc/pinhold/cloudflare.token' });
	of([ 'cloudflare-dns' ], form.DynamicList, 'record', _('Records'),
		_('Others are never touched.'), { validate: record, rmempty: false, placeholder: 'A home.example.com' });
	of([ 'cloudflare-kv' ], form.Value, 'account', _('Account'), null, { rmempty: false });
	of([ 'cloudflare-kv' ], form.Value, 'namespace', _('Namespace'), null, { rmempty: false });
	of([ 'cloudflare-kv' ], form.Value, 'key', _('Key'), null, { rmempty: false, placeholder: 'home' });
	of([ 'qbittorrent', 'transmission' ], form.Value, 'username', _('User name'), null, {});
	of([ 'qbittorrent', 'transmission' ], form.Value, 'password_file', _('File with the password'), null,
		{ validate: path, placeholder: '/etc/pinhold/client.password' });
}

/* The choices of a list, which the widgets take one by one. */
function choices(map) {
	for (const section of map.children)
		for (const option of section.children || [])
			for (const value of option.choices || [])
				option.value(value, option.titles ? option.titles[value]() : value || _('default'));
}

/* What the router has, to choose from. Whoever may not read that types it. */
function surroundings() {
	const readable = (name) => uci.load(name).catch(() => null);

	return Promise.all([ uci.load('pinhold'), readable('network'), readable('firewall') ]).then(() => ({
		networks: uci.sections('network', 'interface').map((s) => s['.name']).filter((name) => name !== 'loopback'),
		zones: uci.sections('firewall', 'zone').map((s) => s.name).filter((name) => name)
	}));
}

return view.extend({
	load: surroundings,

	render: function(around) {
		const map = new form.Map('pinhold', _('pinhold'),
			_('A changed mapping takes effect at once, and the others do not notice.'));

		common(map, around);
		mappings(map, around);
		publish(map);
		choices(map);
		return map.render();
	}
});
