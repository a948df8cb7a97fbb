// SPDX-License-Identifier: GPL-2.0-or-later
'use strict';
'require dom';
'require fs';
'require poll';
'require ui';
'require view';

const SECONDS = 5;

function states() {
	return {
		up: _('up'),
		opening: _('opening'),
		probing: _('probing'),
		lost: _('lost'),
		disabled: _('disabled')
	};
}

function results() {
	return {
		ok: _('ok'),
		failed: _('failed'),
		refused: _('refused'),
		killed: _('killed'),
		'timed out': _('timed out'),
		'not started': _('not started')
	};
}

/* { document } or { error }. */
async function status() {
	try {
		/* Not by ubus, whose messages are too short for many mappings. */
		const said = await fs.exec_direct('/usr/sbin/pinhold', [ 'status', '--json' ]);

		return said ? { document: JSON.parse(said) } : { error: _('pinhold is not running; the system log may say why.') };
	} catch (e) {
		return { error: e.message };
	}
}

function age(time) {
	const s = time ? Math.max(0, Math.floor((Date.now() - Date.parse(time)) / 1000)) : NaN;

	return isNaN(s) ? '-' : '%t'.format(s);
}

function endpoint(e) {
	return e.address.includes(':') ? `[${e.address}]:${e.port}` : `${e.address}:${e.port}`;
}

/* Browsers have a clipboard for pages that came by HTTPS alone. */
async function copy(text) {
	if (navigator.clipboard && window.isSecureContext)
		return navigator.clipboard.writeText(text);

	const area = E('textarea', { style: 'position:fixed;opacity:0' });

	area.value = text;
	document.body.appendChild(area);
	area.select();
	const copied = document.execCommand('copy');

	document.body.removeChild(area);
	if (!copied)
		throw new Error(_('the browser does not let pages copy'));
}

function copy_button(text) {
	return E('button', {
		class: 'btn cbi-button cbi-button-neutral',
		title: _('Copy'),
		click: ui.createHandlerFn(this, () => copy(text).then(
			() => ui.addNotification(null, E('p', _('Copied: %s').format(text)), 'info'),
			(e) => ui.addNotification(null, E('p', _('Not copied: %s').format(e.message)), 'error')))
	}, _('Copy'));
}

function public_endpoint(m) {
	if (!m.public)
		return E('em', m.why || '-');
	return E('span', {}, [ E('strong', { class: 'endpoint' }, endpoint(m.public)), ' ', copy_button(endpoint(m.public)) ]);
}

function receiver(r, name) {
	const last = r.last ? results()[r.last.result] || r.last.result : r.running ? _('running') : _('not called yet');
	const about = r.last && (r.last.text || r.last.error);

	return E('div', { class: r.last && r.last.result !== 'ok' ? 'receiver bad' : 'receiver' }, [
		`${name}: ${last}`, about ? ` (${about})` : '', r.retry ? ` ${_('tried again soon')}` : ''
	]);
}

function receivers(m) {
	const all = [
		...m.hooks.map((h) => receiver(h, h.path.split('/').pop())),
		...m.publishers.map((p) => receiver(p, p.name))
	];

	return all.length ? E('div', {}, all) : '-';
}

function holders(m) {
	return m.holders.length ? E('div', {}, m.holders.map((h) => E('div', {},
		h.state === 'open' ? `${h.server}, ${h.rtt_ms == null ? '-' : h.rtt_ms} ms` : `${h.server}, ${_('connecting')}`))) : '-';
}

function row(m) {
	return [
		E('span', {}, [ E('strong', m.name), E('br'), `${m.protocol}, ${m.family}` ]),
		E('span', { class: `state ${m.state}` }, states()[m.state] || m.state),
		public_endpoint(m),
		age(m.endpoint_since),
		m.connections == null ? '-' : String(m.connections),
		m.target,
		receivers(m),
		holders(m)
	];
}

function draw(now) {
	if (now.error)
		return E('p', { class: 'alert-message warning' }, now.error);

	const { daemon, mappings } = now.document;
	const table = E('table', { class: 'table', id: 'pinhold' }, [
		E('tr', { class: 'tr table-titles' }, [
			_('Mapping'), _('State'), _('Public endpoint'), _('Since'), _('Connections'), _('Target'),
			_('Hooks and publishers'), _('Held open by')
		].map((title) => E('th', { class: 'th' }, title)))
	]);

	cbi_update_table(table, mappings.map(row), E('em', _('There is no mapping yet.')));
	return E('div', {}, [
		daemon.table.error ? E('p', { class: 'alert-message error' }, _('The nftables table is not installed: %s').format(
			daemon.table.error)) : '',
		table
	]);
}

return view.extend({
	load: status,

	render: function(now) {
		const content = E('div', { class: 'cbi-section' }, draw(now));

		poll.add(() => status().then((next) => dom.content(content, draw(next))), SECONDS);
		return E('div', {}, [
			E('h2', _('pinhold')),
			E('div', { class: 'cbi-map-descr' },
				_('Public ports that are held open through the provider\'s NAT. The kernel forwards; no port forwarding or traffic rule is needed.')),
			content
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
