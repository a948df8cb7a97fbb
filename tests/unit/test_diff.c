/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_mappings.h"

/* "del set NAME" for a step, a line each. */
static void put_step(char *buf, size_t size, const struct ph_op *op)
{
	static const char *const words[PH_OP_KINDS] = {
		[PH_OP_DEL_ELEMENT] = "del element ", [PH_OP_FLUSH_CHAIN] = "flush chain ",
		[PH_OP_DEL_CHAIN] = "del chain ",     [PH_OP_DEL_SET] = "del set ",
		[PH_OP_DEL_COUNTER] = "del counter ", [PH_OP_ADD_COUNTER] = "add counter ",
		[PH_OP_ADD_SET] = "add set ",         [PH_OP_ADD_CHAIN] = "add chain ",
		[PH_OP_ADD_RULE] = "add rule ",       [PH_OP_ADD_ELEMENT] = "add element ",
	};
	const char *name = NULL;
	size_t n = strlen(buf);

	switch (op->kind) {
	case PH_OP_DEL_COUNTER:
	case PH_OP_ADD_COUNTER:
		name = op->counter;
		break;
	case PH_OP_FLUSH_CHAIN:
	case PH_OP_DEL_CHAIN:
	case PH_OP_ADD_CHAIN:
	case PH_OP_ADD_RULE:
		name = op->chain->name;
		break;
	case PH_OP_DEL_ELEMENT:
	case PH_OP_DEL_SET:
	case PH_OP_ADD_SET:
	case PH_OP_ADD_ELEMENT:
		name = op->set->name;
		break;
	case PH_OP_KINDS:
		break;
	}
	if (!name) {
		fail_msg("step %d", (int)op->kind);
		abort(); /* not reached; the analysers do not know */
	}
	assert_true((size_t)snprintf(buf + n, size - n, "%s%s\n", words[op->kind], name) <
		    size - n);
}

/* The steps from the one table to the other, which are both freed. */
static void assert_steps(struct ph_table *from, struct ph_table *to, const char *expected)
{
	struct ph_op *ops = NULL;
	char buf[2000] = "";
	size_t n = 0;

	assert_int_equal(ph_table_diff(from, to, &ops, &n), 0);
	for (size_t i = 0; i < n; i++)
		put_step(buf, sizeof(buf), &ops[i]);
	assert_string_equal(buf, expected);
	assert_true(n || !ops);
	free(ops);
	ph_table_free(from);
	ph_table_free(to);
}

static void test_public_endpoint_changes(void **state)
{
	struct ph_plan_mapping m[] = { mapping("a", "100.64.0.2:1", "203.0.113.7:1"), web() };
	struct ph_table *from = table_of(m, 2);

	(void)state;
	m[1].public_endpoint = endpoint("203.0.113.9:7");
	assert_steps(from, table_of(m, 2), "del element bound4\nadd element bound4\n");
}

/* Clients inside follow. Not a rule is touched. */
static void test_public_endpoint_changes_with_loopback(void **state)
{
	struct ph_plan_mapping m = lan();
	struct ph_table *from = table_of(&m, 1);

	(void)state;
	m.public_endpoint.port++;
	assert_steps(from, table_of(&m, 1),
		     "del element bound4\ndel element published4\ndel element loopback4\n"
		     "add element bound4\nadd element published4\nadd element loopback4\n");
}

/* The target's port follows: the chain's rule, and where loopback leads to. */
static void test_target_port_follows(void **state)
{
	struct ph_plan_mapping m = lan();
	struct ph_table *from;

	(void)state;
	m.target.port = 0;
	from = table_of(&m, 1);
	m.public_endpoint.port++;
	assert_steps(from, table_of(&m, 1),
		     "del element bound4\ndel element published4\n"
		     "del element loopback4\ndel element loopback4\n"
		     "flush chain in-web\nadd rule in-web\n"
		     "add element bound4\nadd element published4\n"
		     "add element loopback4\nadd element loopback4\n");
}

static void test_private_endpoint_changes(void **state)
{
	struct ph_plan_mapping m[] = { mapping("a", "100.64.0.2:1", "203.0.113.7:1"), web() };
	struct ph_table *from = table_of(m, 2);

	(void)state;
	m[1].private_endpoint = endpoint("100.64.7.7:8443");
	assert_steps(from, table_of(m, 2),
		     "del element bound4\ndel element inbound4\ndel element source4\n"
		     "flush chain in-web\nadd rule in-web\n"
		     "add element bound4\nadd element inbound4\nadd element source4\n");
}

/* The same key leads elsewhere: out first, then in. */
static void test_element_changes_its_data(void **state)
{
	struct ph_plan_mapping m = web();
	struct ph_table *from = table_of(&m, 1);

	(void)state;
	snprintf(m.name, sizeof(m.name), "renamed");
	assert_steps(from, table_of(&m, 1),
		     "del element bound4\ndel element inbound4\nflush chain in-web\n"
		     "del chain in-web\ndel counter web\nadd counter renamed\n"
		     "add chain in-renamed\nadd rule in-renamed\n"
		     "add element bound4\nadd element inbound4\n");
}

static struct ph_table *moment(unsigned n)
{
	struct ph_plan_mapping m[2];
	size_t n_mappings = moving(n, m);

	return table_of(m, n_mappings);
}

/* The counter is in none of the steps, so it keeps its value. */
static void test_moving_to_another_bind_port(void **state)
{
	(void)state;
	assert_steps(moment(1), moment(2),
		     "del element bound4\ndel element bound4\ndel element inbound4\n"
		     "add chain old-web\nadd rule old-web\n"
		     "add element bound4\nadd element bound4\n"
		     "add element inbound4\nadd element inbound4\n");
	assert_steps(moment(2), moment(3),
		     "del element bound4\ndel element inbound4\ndel element source4\n"
		     "flush chain old-web\ndel chain old-web\n");
}

/* ---- what comes and goes ---- */

static void test_allow_comes_and_goes(void **state)
{
	struct ph_plan_mapping all = web(), some = web();

	(void)state;
	some.allow = prefixes(PH_IPV4, "198.51.100.0", 24);
	assert_steps(table_of(&all, 1), table_of(&some, 1),
		     "flush chain in-web\nadd set allow4-web\nadd rule in-web\n"
		     "add element allow4-web\n");
	assert_steps(table_of(&some, 1), table_of(&all, 1),
		     "del element allow4-web\nflush chain in-web\ndel set allow4-web\n"
		     "add rule in-web\n");
	ph_prefixes_unref(some.allow);
	/* Nobody has a set with nothing in it. */
	some.allow = prefixes(PH_IPV4, "", 0);
	assert_steps(table_of(&all, 1), table_of(&some, 1),
		     "flush chain in-web\nadd set allow4-web\nadd rule in-web\n");
	ph_prefixes_unref(some.allow);
}

static void test_guard_comes_and_goes(void **state)
{
	struct ph_plan_mapping without = lan(), with = lan();

	(void)state;
	without.loopback = with.loopback = false;
	with.target.address = endpoint("127.0.0.1:1").address;
	assert_steps(table_of(&without, 1), table_of(&with, 1),
		     "flush chain in-web\nadd set localnet\nadd chain guard\n"
		     "add rule guard\nadd rule guard\nadd rule in-web\nadd element localnet\n");
	assert_steps(table_of(&with, 1), table_of(&without, 1),
		     "del element localnet\nflush chain guard\nflush chain in-web\n"
		     "del chain guard\ndel set localnet\nadd rule in-web\n");
}

static void test_replies_come_and_go(void **state)
{
	struct ph_plan_mapping without = web(), with = web();

	(void)state;
	with.uplink = 1;
	assert_steps(table_of(&without, 1), table_of(&with, 1),
		     "flush chain in-web\nadd chain replies\nadd chain replies-output\n"
		     "add rule replies\nadd rule replies-output\nadd rule in-web\n");
	assert_steps(table_of(&with, 1), table_of(&without, 1),
		     "flush chain replies\nflush chain replies-output\n"
		     "flush chain in-web\ndel chain replies\ndel chain replies-output\n"
		     "add rule in-web\n");
}

static void test_borrowed_comes_and_goes(void **state)
{
#define RULES7                                                            \
	"add rule prerouting\nadd rule prerouting\nadd rule prerouting\n" \
	"add rule prerouting\nadd rule prerouting\nadd rule prerouting\nadd rule prerouting\n"
#define RULES3 "add rule postrouting\nadd rule postrouting\nadd rule postrouting\n"
	struct ph_plan_mapping without = identity(), with = identity();

	(void)state;
	with.own_port = 40001;
	assert_steps(table_of(&without, 1), table_of(&with, 1),
		     "del element bound4\nflush chain prerouting\nflush chain postrouting\n"
		     "add set borrowed4\nadd set borrow4\nadd set answer4\n" RULES7
		     "add rule prerouting\n" RULES3 "add rule postrouting\nadd rule postrouting\n"
		     "add element borrowed4\nadd element borrow4\nadd element answer4\n");
	assert_steps(table_of(&with, 1), table_of(&without, 1),
		     "del element borrowed4\ndel element borrow4\ndel element answer4\n"
		     "flush chain prerouting\nflush chain postrouting\n"
		     "del set borrowed4\ndel set borrow4\ndel set answer4\n" RULES7 RULES3
		     "add element bound4\n");
}

/* ---- ranges ---- */

static struct ph_range range(const char *first, const char *last)
{
	struct ph_range r = { { 0 }, { 0 } };
	struct ph_address a;

	assert_int_equal(ph_address_parse(first, &a), 0);
	memcpy(r.first, a.octets, sizeof(r.first));
	assert_int_equal(ph_address_parse(last, &a), 0);
	memcpy(r.last, a.octets, sizeof(r.last));
	return r;
}

struct prefix {
	const char *text;
	uint8_t bits;
};

/* Of n prefixes. */
static struct ph_table *allowing(const struct prefix *list, size_t n)
{
	struct ph_plan_mapping m = web();
	struct ph_prefix p[8];
	struct ph_table *t;

	assert_true(n <= 8);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(ph_address_parse(list[i].text, &p[i].address), 0);
		p[i].bits = list[i].bits;
	}
	assert_int_equal(ph_prefixes_new(PH_IPV4, p, n, &m.allow), 0);
	t = table_of(&m, 1);
	ph_prefixes_unref(m.allow);
	return t;
}

static void test_ranges(void **state)
{
	static const struct prefix before[] = {
		{ "10.0.0.0", 8 }, { "11.0.0.0", 16 }, { "12.0.0.0", 8 }, { "14.0.0.0", 8 }
	};
	/* The first is shortened, the second goes, the third stays, the fourth grows, one comes. */
	static const struct prefix after[] = {
		{ "10.0.0.0", 9 }, { "12.0.0.0", 8 }, { "14.0.0.0", 7 }, { "9.0.0.0", 8 }
	};
	const struct {
		enum ph_op_kind kind;
		struct ph_range range;
	} steps[] = {
		{ PH_OP_DEL_ELEMENT, range("10.0.0.0", "11.0.255.255") },
		{ PH_OP_DEL_ELEMENT, range("14.0.0.0", "14.255.255.255") },
		{ PH_OP_ADD_ELEMENT, range("9.0.0.0", "10.127.255.255") },
		{ PH_OP_ADD_ELEMENT, range("14.0.0.0", "15.255.255.255") },
	};
	struct ph_table *from = allowing(before, 4), *to = allowing(after, 4);
	struct ph_op *ops = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(ph_table_diff(from, to, &ops, &n), 0);
	assert_int_equal(n, 4);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(ops[i].kind, steps[i].kind);
		assert_string_equal(ops[i].set->name, "allow4-web");
		assert_memory_equal(ops[i].range, &steps[i].range, sizeof(struct ph_range));
	}
	free(ops);
	ph_table_free(from);
	ph_table_free(to);
}

/* The same set, as one object and as two. */
static void test_same_ranges(void **state)
{
	static const struct prefix whole[] = { { "10.0.0.0", 8 } };
	static const struct prefix halves[] = { { "10.128.0.0", 9 }, { "10.0.0.0", 9 } };
	struct ph_table *x = allowing(whole, 1), *y;
	struct ph_plan_mapping m = web();

	(void)state;
	assert_steps(allowing(whole, 1), allowing(halves, 2), "");
	m.allow = x->sets[x->n_sets - 1].ranges;
	y = table_of(&m, 1);
	assert_ptr_equal(y->sets[y->n_sets - 1].ranges, m.allow);
	assert_steps(x, y, "");
}

/* Of a set that both have nothing is read: behind this one there is nothing to be read. */
static void test_same_ranges_are_not_compared(void **state)
{
	static struct ph_prefixes huge = { .references = 1, .family = PH_IPV4, .n = SIZE_MAX / 64 };
	struct ph_plan_mapping m = web();
	struct ph_table *from;

	(void)state;
	m.allow = &huge;
	from = table_of(&m, 1);
	m.snat = true;
	assert_steps(from, table_of(&m, 1), "flush chain in-web\nadd rule in-web\n");
	assert_int_equal(huge.references, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_public_endpoint_changes),
		cmocka_unit_test(test_public_endpoint_changes_with_loopback),
		cmocka_unit_test(test_target_port_follows),
		cmocka_unit_test(test_private_endpoint_changes),
		cmocka_unit_test(test_element_changes_its_data),
		cmocka_unit_test(test_moving_to_another_bind_port),
		cmocka_unit_test(test_allow_comes_and_goes),
		cmocka_unit_test(test_guard_comes_and_goes),
		cmocka_unit_test(test_replies_come_and_go),
		cmocka_unit_test(test_borrowed_comes_and_goes),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_same_ranges),
		cmocka_unit_test(test_same_ranges_are_not_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
