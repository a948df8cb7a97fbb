// SPDX-License-Identifier: GPL-2.0-or-later
//
// LuCI's client side as far as pinhold's views see it. A page is `index.html#VIEW`; window.answers has what `pinhold
// status --json` says, window.configuration what UCI has, and window.words the translation.
'use strict';

const _ = (text) => (window.words || {})[text] || text;

// eslint-disable-next-line no-extend-native
String.prototype.format = function(...args) {
	return this.replace(/%([st])/g, (_match, kind) => kind === 't' ? `${args.shift()}s` : args.shift());
};

function append(node, child) {
	if (Array.isArray(child))
		child.forEach((c) => append(node, c));
	else if (child instanceof Node)
		node.appendChild(child);
	else if (child != null)
		node.appendChild(document.createTextNode(child));
}

function E(tag, attributes, children) {
	const node = document.createElement(tag);

	if (attributes == null || typeof attributes !== 'object' || Array.isArray(attributes) || attributes instanceof Node)
		[ attributes, children ] = [ {}, attributes ];
	for (const [ name, value ] of Object.entries(attributes))
		if (typeof value === 'function')
			node.addEventListener(name, value);
		else
			node.setAttribute(name, value);
	append(node, children);
	return node;
}

function cbi_update_table(table, rows, placeholder) {
	table.querySelectorAll('tr:not(.table-titles)').forEach((row) => row.remove());
	for (const row of rows)
		append(table, E('tr', { class: 'tr' }, row.map((cell) => E('td', { class: 'td' }, [ cell ]))));
	if (!rows.length && placeholder)
		append(table, E('tr', { class: 'tr placeholder' }, E('td', { class: 'td' }, placeholder)));
}

window.polls = [];

const note = (_title, content, ...classes) => document.getElementById('notes').appendChild(
	E('div', { class: classes.join(' ') }, content));

class Option {
	constructor(section, name, title, description) {
		Object.assign(this, { section, name, title, description, needs: [], list: [] });
	}

	depends(name, value) {
		this.needs.push([ name, value ]);
	}

	value(key, text) {
		this.list.push([ key, text ]);
	}

	wanted(values) {
		return !this.needs.length || this.needs.some(([ name, value ]) => values[name] === value);
	}

	check(value) {
		if (!value)
			return this.rmempty === false ? _('needed') : true;
		return this.validate ? this.validate('section', value) : true;
	}

	render(changed) {
		const error = E('div', { class: 'error' });
		const input = this.list.length
			? E('select', {}, this.list.map(([ key, text ]) => E('option', { value: key }, text)))
			: E('input', { placeholder: this.placeholder || '' });

		input.addEventListener('input', () => {
			const verdict = this.check(input.value);

			error.textContent = verdict === true ? '' : verdict;
			changed(this.name, input.value);
		});
		this.node = E('div', { class: 'cbi-value', 'data-option': this.name, 'data-widget': this.constructor.name }, [
			E('label', this.title), input, E('div', { class: 'description' }, this.description || ''), error
		]);
		return this.node;
	}
}

class Section {
	constructor(map, name, type, title, description) {
		Object.assign(this, { map, name, type, title, description, children: [], tabs: [] });
	}

	tab(name, title) {
		this.tabs.push([ name, title ]);
	}

	option(widget, ...rest) {
		const option = new widget(this, ...rest);

		this.children.push(option);
		return option;
	}

	taboption(tab, widget, ...rest) {
		if (!this.tabs.some(([ name ]) => name === tab))
			throw new Error(`no tab ${tab}`);
		return this.option(widget, ...rest);
	}

	render() {
		const values = {};
		const changed = (name, value) => {
			values[name] = value;
			for (const option of this.children)
				option.node.style.display = option.wanted(values) ? '' : 'none';
		};
		const nodes = this.children.map((option) => option.render(changed));

		changed(undefined, undefined);
		return E('fieldset', { 'data-section': this.type }, [
			E('h3', this.title), E('div', { class: 'description' }, this.description || ''), nodes
		]);
	}
}

class NamedSection extends Section {}
class GridSection extends Section {
	constructor(map, type, title, description) {
		super(map, null, type, title, description);
	}
}

const widget = (name) => ({ [name]: class extends Option {} })[name];
const widgets = (...names) => Object.fromEntries(names.map((name) => [ name, widget(name) ]));

const modules = {
	dom: { content: (node, child) => { node.replaceChildren(); append(node, child); } },
	form: {
		...widgets('Value', 'Flag', 'ListValue', 'DynamicList', 'MultiValue'),
		NamedSection,
		GridSection,
		Map: class {
			constructor(config, title, description) {
				Object.assign(this, { config, title, description, children: [] });
			}

			section(kind, ...rest) {
				const section = new kind(this, ...rest);

				this.children.push(section);
				return section;
			}

			async render() {
				return E('div', {}, [ E('h2', this.title), E('p', this.description), this.children.map((s) => s.render()) ]);
			}
		}
	},
	fs: {
		exec_direct: async (command, args) => {
			const line = [ command, ...args ].join(' ');

			// As cgi-io: what no file of ACLs names is refused, and of a command that fails there is no more than its output.
			if (!window.allowed.includes(line))
				throw new Error('Access denied');
			return window.answers;
		}
	},
	poll: { add: (f, seconds) => window.polls.push([ f, seconds ]) },
	'tools.widgets': widgets('NetworkSelect', 'ZoneSelect'),
	uci: {
		load: async (name) => { if (name !== 'pinhold') throw new Error(name); },
		sections: (name, type) => window.configuration.filter((s) => s['.type'] === type)
	},
	ui: {
		createHandlerFn: (self, f) => (event) => f.call(self, event),
		addNotification: note
	},
	view: { extend: (methods) => methods }
};

/* A file of LuCI's is a function's body, with its modules as parameters. */
async function view(name) {
	const source = await (await fetch(`/view/${name}.js`)).text();
	const wanted = [ ...source.matchAll(/^'require ([\w.]+)(?: as (\w+))?';$/mg) ];
	const loaded = wanted.map(([ , module ]) => {
		if (!modules[module])
			throw new Error(`no module ${module}`);
		return modules[module];
	});
	const made = new Function(...wanted.map(([ , module, as ]) => as || module), `${source}\n//# sourceURL=${name}.js`)(
		...loaded);

	append(document.getElementById('view'), await made.render(await made.load()));
	document.body.dataset.done = 'yes';
}
