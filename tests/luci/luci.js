// SPDX-License-Identifier: GPL-2.0-or-later
//
// LuCI's client side as far as pinhold's views see it. A page is `index.html#VIEW`; window.answers has what `pinhold
// status --json` says, window.configuration what UCI has, and window.words the translation. Written after
// modules/luci-base/htdocs/luci-static/resources/form.js, as far as it decides what is shown, kept and removed.
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

/* What UCI has: window.configuration, a list of sections; of `network` and `firewall` what window.readable has. */
const uci = {
	find: (config, id) => uci.all(config).find((s) => s['.name'] === id),
	all: (config) => config === 'pinhold' ? window.configuration : window.readable[config] || [],
	load: async (config) => {
		if (config !== 'pinhold' && !window.readable[config])
			throw new Error('Permission denied');
	},
	sections: (config, type) => uci.all(config).filter((s) => s['.type'] === type),
	get: (config, id, option) => {
		const section = uci.find(config, id);

		return !section || option === undefined ? section : section[option];
	},
	set: (config, id, option, value) => { uci.find(config, id)[option] = value; },
	unset: (config, id, option) => { delete uci.find(config, id)[option]; },
	add: (config, type, name) => window.configuration.push({ '.type': type, '.name': name })
};

/* As form.js: load(), cfgvalue(), a widget with that value, and on Save parse(), which writes what the widget has or
   removes the option. One object stands for the option in all sections of its kind. */
class Option {
	constructor(section, name, title, description) {
		Object.assign(this, { section, option: name, title, description, needs: [], rmempty: true, data: {}, nodes: {} });
	}

	depends(name, value) {
		this.needs.push([ name, value ]);
	}

	value(key, text) {
		(this.keylist = this.keylist || []).push(key);
		(this.vallist = this.vallist || []).push(text == null ? key : text);
	}

	load(id) {
		return uci.get('pinhold', id, this.option);
	}

	cfgvalue(id, ...loaded) {
		if (loaded.length)
			[ this.data[id] ] = loaded;
		return this.data[id];
	}

	write(id, value) {
		uci.set('pinhold', id, this.option, value);
	}

	remove(id) {
		uci.unset('pinhold', id, this.option);
	}

	parse(id) {
		const value = this.isActive(id) ? this.formvalue(id) : null;
		const empty = value == null || !value.length;

		if (this.isActive(id) && empty && !this.rmempty && !this.optional)
			throw new Error(`${this.option} is needed`);
		if (empty)
			this.remove(id);
		else if (String(value) !== String(this.cfgvalue(id)))
			this.write(id, value);
	}

	isActive(id) {
		return !this.needs.length || this.needs.some(([ name, value ]) => this.section.shown(id, name) === value);
	}

	check(value) {
		if (!value)
			return this.rmempty === false ? _('needed') : true;
		return this.validate ? this.validate('section', value) : true;
	}

	initial(id) {
		const value = this.cfgvalue(id);

		return value != null ? value : this.default;
	}

	/* A text field, which with choices can have another value too. */
	widget(id) {
		const value = this.initial(id);

		return E('input', { placeholder: this.placeholder || '', value: Array.isArray(value) ? value.join(' ') : value || '' });
	}

	formvalue(id) {
		return this.nodes[id].querySelector('input, select').value;
	}

	render(id, changed) {
		const error = E('div', { class: 'error' });
		const node = E('div', { class: 'cbi-value', 'data-option': this.option, 'data-widget': this.constructor.name }, [
			E('label', this.title), this.widget(id), E('div', { class: 'description' }, this.description || ''), error
		]);

		node.addEventListener('input', (event) => {
			const verdict = this.check(event.target.value);

			error.textContent = verdict === true ? '' : verdict;
			changed();
		});
		return (this.nodes[id] = node);
	}
}

const kinds = {
	Value: class Value extends Option {},
	Flag: class Flag extends Option {
		widget(id) {
			const box = E('input', { type: 'checkbox' });

			box.checked = this.initial(id) === '1';
			return box;
		}

		formvalue(id) {
			return this.nodes[id].querySelector('input').checked ? '1' : '0';
		}

		parse(id) {
			const value = this.formvalue(id);

			if (value === (this.default || '0') && (this.rmempty || this.optional))
				this.remove(id);
			else
				this.write(id, value);
		}
	},
	/* What is none of the choices is not shown, and therefore gone. */
	ListValue: class ListValue extends Option {
		widget(id) {
			const select = E('select', {}, this.keylist.map((key, i) => E('option', { value: key }, this.vallist[i])));

			if (this.keylist.includes(this.initial(id)))
				select.value = this.initial(id);
			return select;
		}
	},
	MultiValue: class MultiValue extends Option {
		widget(id) {
			const select = E('select', { multiple: '' }, (this.keylist || []).map((key) => E('option', { value: key }, key)));

			for (const option of select.options)
				option.selected = [].concat(this.initial(id) || []).includes(option.value);
			return select;
		}

		formvalue(id) {
			return [ ...this.nodes[id].querySelector('select').selectedOptions ].map((option) => option.value);
		}
	},
	/* The values, and a field for one more. */
	DynamicList: class DynamicList extends Option {
		widget(id) {
			return E('span', {}, [
				[].concat(this.initial(id) || []).map((value) => E('span', { class: 'item' }, value)),
				E('input', { placeholder: this.placeholder || '' })
			]);
		}

		formvalue(id) {
			const items = [ ...this.nodes[id].querySelectorAll('.item') ].map((item) => item.textContent);
			const more = this.nodes[id].querySelector('input').value;

			return more ? [ ...items, more ] : items;
		}
	}
};

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

	/* Of an empty file one of each kind is shown, which is not there. */
	ids() {
		const found = uci.sections('pinhold', this.type).map((s) => s['.name']).filter((id) => !this.name || id === this.name);

		return found.length ? found : [ '' ];
	}

	shown(id, name) {
		const option = this.children.find((o) => o.option === name);

		return option.isActive(id) ? option.formvalue(id) : null;
	}

	load() {
		for (const id of this.ids())
			for (const option of this.children)
				option.cfgvalue(id, option.load(id));
	}

	render() {
		return this.ids().map((id) => {
			const update = () => {
				for (const option of this.children)
					option.nodes[id].style.display = option.isActive(id) ? '' : 'none';
			};
			const fieldset = E('fieldset', { 'data-section': this.type, 'data-id': id }, [
				E('h3', this.title), E('div', { class: 'description' }, this.description || ''),
				this.children.map((option) => option.render(id, update))
			]);

			update();
			return fieldset;
		});
	}

	save() {
		for (const id of this.ids().filter((name) => name))
			for (const option of this.children)
				option.parse(id);
	}
}

class NamedSection extends Section {}
class GridSection extends Section {
	constructor(map, type, title, description) {
		super(map, null, type, title, description);
	}

	/* "Add", with a name that UCI allows. */
	async handleAdd(_event, name) {
		uci.add('pinhold', this.type, name);
		return this.map.show();
	}
}

const modules = {
	dom: { content: (node, child) => { node.replaceChildren(); append(node, child); } },
	form: {
		...kinds,
		NamedSection,
		GridSection,
		Map: class {
			constructor(config, title, description) {
				Object.assign(this, { config, title, description, children: [], node: E('div') });
				window.page = this;
			}

			section(kind, ...rest) {
				const section = new kind(this, ...rest);

				this.children.push(section);
				return section;
			}

			show() {
				this.children.forEach((s) => s.load());
				this.node.replaceChildren();
				append(this.node, [ E('h2', this.title), E('p', this.description), this.children.map((s) => s.render()) ]);
			}

			async render() {
				this.show();
				return this.node;
			}

			async save() {
				this.children.forEach((s) => s.save());
				this.show();
			}
		}
	},
	fs: {
		exec_direct: async (command, args) => {
			const line = [ command, ...args ].join(' ');

			// As cgi-io: what no file of ACLs names is refused, and of a command that fails there is no more than its output.
			if (!window.cgi.includes('exec') || !window.allowed.includes(line))
				throw new Error('Access denied');
			return window.answers;
		}
	},
	poll: { add: (f, seconds) => window.polls.push([ f, seconds ]) },
	uci,
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
