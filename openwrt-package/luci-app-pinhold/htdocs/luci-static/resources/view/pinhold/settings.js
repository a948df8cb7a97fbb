// SPDX-License-Identifier: GPL-2.0-or-later
'use strict';
'require form';
'require tools.widgets as widgets';
'require uci';
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

function add(section, widget, name, title, description, settings) {
	const option = section.option(widget, name, title, description);

	return Object.assign(option, settings);
}

function common(map) {
	const s = map.section(form.NamedSection, 'global', 'pinhold', _('For all mappings'));

	s.addremove = false;
	s.tab('general', _('General'));
	s.tab('advanced', _('Advanced'));
	const general = (...args) => Object.assign(s.taboption('general', ...args.slice(0, 4)), args[4]);
	const advanced = (...args) => Object.assign(s.taboption('advanced', ...args.slice(0, 4)), args[4]);

	general(widgets.NetworkSelect, 'interface', _('Interface'),
		_('Towards the Internet. Not given: that of the default route.'), { nocreate: true });
	general(widgets.ZoneSelect, 'zone', _('Firewall zones'),
		_('By which connections come in; they are opened for what pinhold lets in, and for nothing else.'),
		{ multiple: true, nocreate: true });
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
		{ default: '1', rmempty: false });
}

function mappings(map, publishers) {
	const s = map.section(form.GridSection, 'mapping', _('Mappings'),
		_('Each holds one public port open and leads what arrives there to its target.'));
	const details = (...args) => Object.assign(add(s, ...args), { modalonly: true });

	s.addremove = true;
	s.anonymous = false;
	s.sortable = true;
	s.nodescriptions = true;

	add(s, form.Flag, 'enabled', _('Enabled'), null, { default: '1', rmempty: false, editable: true });
	add(s, form.ListValue, 'protocol', _('Protocol'), null, { default: 'tcp', choices: [ 'tcp', 'udp' ] });
	add(s, form.Value, 'bind', _('Bind port'),
		_('The port of this router that is held open. Any free one will do; it is not the public one.'),
		{ validate: bind, rmempty: false, placeholder: '8443' });
	add(s, form.Value, 'target', _('Target'),
		_('The service: ADDRESS:PORT in your network, or :PORT on this router. ADDRESS:public is the same port as the public one, as BitTorrent clients want it.'),
		{ validate: target, rmempty: false, placeholder: '192.168.1.50:443' });
	details(form.ListValue, 'family', _('Address family'), null, { default: 'ipv4', choices: [ 'ipv4', 'ipv6' ] });
	details(widgets.NetworkSelect, 'interface', _('Interface'), _('Not given: as for all mappings.'), { nocreate: true });
	details(form.DynamicList, 'allow', _('Allowed clients'), _('Not given: everybody.'), { validate: allow });
	details(form.Value, 'limit', _('New connections'), _('At most, such as 50/second burst 100.'), { validate: limit });
	details(form.Flag, 'loopback', _('NAT loopback'), _('Clients inside reach the service by its public endpoint too.'),
		{ default: '1', rmempty: false });
	details(form.Flag, 'snat', _('Masquerade clients'),
		_('For a target whose replies go to another router: it sees this router\'s address instead of its clients\'.'),
		{ default: '0' });
	details(form.Value, 'rotate', _('Rotation'), _('Move to the next port of the bind range this often.'), { validate: duration });
	details(form.DynamicList, 'hook', _('Hooks'), _('Programs that are called when the public endpoint changes.'),
		{ validate: path });
	details(form.MultiValue, 'publish', _('Publishers'), _('Who is told of the public endpoint.'), { choices: publishers });
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

return view.extend({
	load: () => uci.load('pinhold').then(() => uci.sections('pinhold', 'publish').map((s) => s['.name'])),

	render: function(publishers) {
		const map = new form.Map('pinhold', _('pinhold'),
			_('A changed mapping takes effect at once, and the others do not notice.'));

		common(map);
		mappings(map, publishers);
		publish(map);
		choices(map);
		return map.render();
	}
});
