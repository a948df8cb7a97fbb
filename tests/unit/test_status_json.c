/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Status as JSON, held to status.schema.json and to the manual (the build says where they are). */

#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/status.h>

#include "schema.h"

static struct schema schema;

/* A thousand seconds after the start, at 2026-11-21T10:23:23.5Z. */
static const struct ph_status_clock clock_now = {
	.now_ms = 1000000,
	.now = { .tv_sec = 1795256603, .tv_nsec = 500000000 },
};

static struct ph_config_mapping config_of(const char *name)
{
	struct ph_config_mapping config = {
		.core = { .proto = PH_TCP,
			  .family = PH_IPV4,
			  .target = { .kind = PH_TARGET_ADDRESS,
				      .address = endpoint("192.168.10.50:443").address,
				      .port = 443 } },
		.enabled = true,
	};

	strcpy(config.core.name, name);
	return config;
}

static struct ph_status_mapping up(const struct ph_config_mapping *config)
{
	struct ph_status_mapping s = {
		.config = config,
		.interface = "wan",
		.held = true,
		.view = { .state = PH_MAPPING_UP,
			  .private_endpoint = endpoint("100.64.0.2:8443"),
			  .public_endpoint = endpoint("203.0.113.7:32451"),
			  .state_since_ms = 10000,
			  .endpoint_since_ms = 20000,
			  .verified_ms = 990000,
			  .changes = 3,
			  .can_verify = true,
			  .independence = PH_INDEPENDENT,
			  .holders = { { .server = endpoint("192.0.2.13:80"),
					 .open = true,
					 .since_ms = 30000,
					 .rtt_ms = 23 },
				       { .server = endpoint("192.0.2.14:80"),
					 .rtt_ms = UINT32_MAX } },
			  .n_holders = 2 },
		.counted = true,
		.connections = 12,
	};

	return s;
}

static void assert_valid(const json_t *value, const char *definition)
{
	const json_t *of = json_object_get(json_object_get(schema.root, "$defs"), definition);

	assert_non_null(of);
	assert_non_null(value);
	if (!schema_check(&schema, of, value, definition))
		fail_msg("%s %s", schema.where, schema.what);
}

/* Valid, and member by member what text says. */
static void assert_mapping(const struct ph_status_mapping *s, const char *text)
{
	json_t *got = ph_status_mapping_json(s, &clock_now), *want = json_loads(text, 0, NULL);
	const char *key;
	json_t *value;

	assert_valid(got, "mapping");
	assert_non_null(want);
	json_object_foreach(want, key, value) if (!json_equal(value, json_object_get(got, key)))
	{
		char *dump = json_dumps(json_object_get(got, key), JSON_ENCODE_ANY);

		fail_msg("%s is %s", key, dump);
	}
	json_decref(want);
	json_decref(got);
}

static void test_up(void **state)
{
	struct ph_config_mapping config = config_of("web");
	struct ph_status_mapping s = up(&config);

	(void)state;
	assert_mapping(
		&s, "{\"name\":\"web\",\"protocol\":\"tcp\",\"family\":\"ipv4\",\"state\":\"up\","
		    "\"why\":null,\"interface\":\"wan\",\"public\":{\"address\":\"203.0.113.7\","
		    "\"port\":32451,\"ip4p\":\"2001::7ec3:cb00:7107\"},"
		    "\"private\":{\"address\":\"100.64.0.2\",\"port\":8443},"
		    "\"own_port\":null,\"uplink\":null,"
		    "\"target\":\"192.168.10.50:443\",\"since\":\"2026-11-21T10:06:53Z\","
		    "\"endpoint_since\":\"2026-11-21T10:07:03Z\",\"changes\":3,"
		    "\"verified\":\"2026-11-21T10:23:13Z\",\"can_verify\":true,"
		    "\"endpoint_independent\":true,"
		    "\"holders\":[{\"server\":\"192.0.2.13:80\",\"state\":\"open\","
		    "\"since\":\"2026-11-21T10:07:13Z\",\"rtt_ms\":23},"
		    "{\"server\":\"192.0.2.14:80\",\"state\":\"connecting\",\"since\":null,"
		    "\"rtt_ms\":null}],\"connections\":12,\"hooks\":[]}");
}

static void test_own_port_and_uplink(void **state)
{
	struct ph_config_mapping config = config_of("web");
	struct ph_status_mapping s = up(&config);

	(void)state;
	s.own_port = 65535;
	s.uplink = 3;
	assert_mapping(&s, "{\"own_port\":65535,\"uplink\":3}");
	s.own_port = 0;
	s.uplink = 1;
	assert_mapping(&s, "{\"own_port\":null,\"uplink\":1}");
}

static void test_ipv6(void **state)
{
	struct ph_config_mapping config = config_of("wg6");
	struct ph_status_mapping s = up(&config);

	(void)state;
	config.core.proto = PH_UDP;
	config.core.family = PH_IPV6;
	config.core.target.address = endpoint("[2001:db8:10::50]:1").address;
	s.view.public_endpoint = endpoint("[2001:db8::7]:51820");
	s.view.private_endpoint = s.view.public_endpoint;
	s.view.holders[0].server = endpoint("[2001:db8::1]:3478");
	assert_mapping(&s, "{\"protocol\":\"udp\",\"family\":\"ipv6\",\"public\":{\"address\":"
			   "\"2001:db8::7\",\"port\":51820,\"ip4p\":null},"
			   "\"target\":\"[2001:db8:10::50]:443\"}");
}

static void test_states(void **state)
{
	static const struct {
		enum ph_mapping_state state;
		bool open;
		const char *text;
	} cases[] = {
		{ PH_MAPPING_WAITING, false, "opening" },
		{ PH_MAPPING_RESOLVING, false, "opening" },
		{ PH_MAPPING_PREPARING, false, "opening" },
		{ PH_MAPPING_OPENING, false, "opening" },
		{ PH_MAPPING_OPENING, true, "probing" },
		{ PH_MAPPING_UP, true, "up" },
		{ PH_MAPPING_UP, false, "up" },
		{ PH_MAPPING_LOST, false, "lost" },
		{ PH_MAPPING_STOPPED, false, "disabled" },
	};
	struct ph_config_mapping config = config_of("web");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ph_status_mapping s = up(&config);

		s.view.state = cases[i].state;
		s.view.holders[0].open = cases[i].open;
		assert_string_equal(ph_status_state(&s), cases[i].text);
		s.held = false;
		assert_string_equal(ph_status_state(&s), "disabled");
	}
}

static void test_without_values(void **state)
{
	struct ph_config_mapping config = config_of("web");
	struct ph_status_mapping s = { .config = &config, .held = true };

	(void)state;
	s.view.state = PH_MAPPING_WAITING;
	s.view.why = "the machine's words";
	s.view.endpoint_since_ms = 5; /* of an endpoint that is gone */
	assert_mapping(&s, "{\"state\":\"opening\",\"why\":\"the machine's words\","
			   "\"interface\":null,\"public\":null,\"private\":null,\"since\":null,"
			   "\"endpoint_since\":null,\"changes\":0,\"verified\":null,"
			   "\"can_verify\":false,\"endpoint_independent\":null,\"holders\":[],"
			   "\"connections\":null}");
	s.why = "interface wan is down";
	s.view.independence = PH_DEPENDENT;
	assert_mapping(&s, "{\"why\":\"interface wan is down\",\"endpoint_independent\":false}");
	/* What is not held has no view, whatever is in it. */
	s = up(&config);
	s.held = false;
	s.counted = false;
	config.enabled = true;
	assert_mapping(&s, "{\"state\":\"disabled\",\"why\":\"stopped\"}");
	/* cppcheck-suppress redundantAssignment // s points to it */
	config.enabled = false;
	assert_mapping(&s,
		       "{\"state\":\"disabled\",\"why\":\"it is disabled in the configuration\","
		       "\"public\":null,\"private\":null,\"since\":null,\"holders\":[],"
		       "\"connections\":null}");
}

static void assert_target(enum ph_target_kind kind, uint16_t port, bool known, const char *text)
{
	struct ph_config_mapping config = config_of("web");
	struct ph_status_mapping s = up(&config);

	config.core.target.kind = kind;
	config.core.target.port = port;
	if (!known)
		s.view.public_endpoint.port = 0;
	assert_mapping(&s, text);
}

static void test_targets(void **state)
{
	(void)state;
	assert_target(PH_TARGET_ADDRESS, 0, true, "{\"target\":\"192.168.10.50:32451\"}");
	assert_target(PH_TARGET_ADDRESS, 0, false, "{\"target\":\"192.168.10.50:public\"}");
	assert_target(PH_TARGET_LOCAL, 0, false, "{\"target\":\":public\"}");
	assert_target(PH_TARGET_LOCAL, 0, true, "{\"target\":\":32451\"}");
	assert_target(PH_TARGET_LOCAL, 443, true, "{\"target\":\":443\"}");
	assert_target(PH_TARGET_NONE, 0, true, "{\"target\":\"none\"}");
}

static void test_hooks(void **state)
{
	struct ph_config_mapping config = config_of("web");
	struct ph_status_mapping s = up(&config);

	(void)state;
	s.n_hooks = 6;
	s.hooks[0] = (struct ph_status_receiver){
		.name = "/etc/a", .running = true, .pid = 4712, .owed = true
	};
	s.hooks[1] = (struct ph_status_receiver){ .name = "/etc/b",
						  .last = { .called = true, .ended_ms = 1 } };
	s.hooks[2] = (struct ph_status_receiver){ .name = "/etc/c",
						  .last = { .called = true,
							    .ended_ms = 1000000,
							    .event = PH_ANNOUNCE_CHANGE,
							    .status = 7 },
						  .retry_ms = 1060000 };
	s.hooks[3] = (struct ph_status_receiver){ .name = "/etc/d",
						  .last = { .called = true,
							    .ended_ms = 1,
							    .event = PH_ANNOUNCE_DOWN,
							    .timed_out = true,
							    .signal = 15 } };
	s.hooks[4] = (struct ph_status_receiver){
		.name = "/etc/e", .last = { .called = true, .ended_ms = 1, .signal = 9 }
	};
	s.hooks[5] = (struct ph_status_receiver){
		.name = "/etc/f\xff", .last = { .called = true, .ended_ms = 1, .error = -ENOENT }
	};
	assert_mapping(
		&s,
		"{\"hooks\":[{\"path\":\"/etc/a\",\"running\":true,\"pid\":4712,\"owed\":true,\"last\":null,\"retry\":null},"
		"{\"path\":\"/etc/b\",\"running\":false,\"pid\":null,\"owed\":false,\"last\":{\"event\":\"up\","
		"\"ended\":\"2026-11-21T10:06:43Z\",\"result\":\"ok\",\"status\":0,"
		"\"signal\":null,\"error\":null},\"retry\":null},"
		"{\"path\":\"/etc/c\",\"running\":false,\"pid\":null,\"owed\":false,\"last\":{\"event\":\"change\","
		"\"ended\":\"2026-11-21T10:23:23Z\",\"result\":\"failed\",\"status\":7,"
		"\"signal\":null,\"error\":null},\"retry\":\"2026-11-21T10:24:23Z\"},"
		"{\"path\":\"/etc/d\",\"running\":false,\"pid\":null,\"owed\":false,\"last\":{\"event\":\"down\","
		"\"ended\":\"2026-11-21T10:06:43Z\",\"result\":\"timed out\",\"status\":null,"
		"\"signal\":15,\"error\":null},\"retry\":null},"
		"{\"path\":\"/etc/e\",\"running\":false,\"pid\":null,\"owed\":false,\"last\":{\"event\":\"up\","
		"\"ended\":\"2026-11-21T10:06:43Z\",\"result\":\"killed\",\"status\":null,"
		"\"signal\":9,\"error\":null},\"retry\":null},"
		"{\"path\":\"/etc/f\\ufffd\",\"running\":false,\"pid\":null,\"owed\":false,\"last\":{\"event\":\"up\","
		"\"ended\":\"2026-11-21T10:06:43Z\",\"result\":\"not started\",\"status\":null,"
		"\"signal\":null,\"error\":\"No such file or directory\"},\"retry\":null}]}");
}

static void test_publishers(void **state)
{
	struct ph_config_mapping config = config_of("web");
	struct ph_status_mapping s = up(&config);

	(void)state;
	s.n_publishers = 5;
	s.publishers[0] = (struct ph_status_receiver){
		.name = "a", .text = "", .running = true, .owed = true
	};
	s.publishers[1] = (struct ph_status_receiver){
		.name = "b",
		.type = PH_PUBLISH_CLOUDFLARE_DNS,
		.text = "A www.example.com created",
		.last = { .called = true, .ended_ms = 1 },
	};
	s.publishers[2] = (struct ph_status_receiver){
		.name = "c",
		.type = PH_PUBLISH_CLOUDFLARE_KV,
		.text = "503",
		.last = { .called = true,
			  .ended_ms = 1000000,
			  .event = PH_ANNOUNCE_CHANGE,
			  .status = 1 },
		.retry_ms = 1060000,
	};
	s.publishers[3] = (struct ph_status_receiver){
		.name = "d",
		.type = PH_PUBLISH_QBITTORRENT,
		.text = "401",
		.last = { .called = true, .ended_ms = 1, .status = 2, .refused = true },
	};
	s.publishers[4] = (struct ph_status_receiver){
		.name = "e",
		.type = PH_PUBLISH_TRANSMISSION,
		.text = "no such file",
		.last = { .called = true, .ended_ms = 1, .error = -ENOENT },
	};
	assert_mapping(
		&s,
		"{\"publishers\":[{\"name\":\"a\",\"type\":\"webhook\",\"running\":true,\"owed\":true,"
		"\"last\":null,\"retry\":null},"
		"{\"name\":\"b\",\"type\":\"cloudflare-dns\",\"running\":false,\"owed\":false,\"last\":"
		"{\"event\":\"up\",\"ended\":\"2026-11-21T10:06:43Z\",\"result\":\"ok\","
		"\"text\":\"A www.example.com created\"},\"retry\":null},"
		"{\"name\":\"c\",\"type\":\"cloudflare-kv\",\"running\":false,\"owed\":false,\"last\":"
		"{\"event\":\"change\",\"ended\":\"2026-11-21T10:23:23Z\","
		"\"result\":\"failed\",\"text\":\"503\"},\"retry\":\"2026-11-21T10:24:23Z\"},"
		"{\"name\":\"d\",\"type\":\"qbittorrent\",\"running\":false,\"owed\":false,\"last\":"
		"{\"event\":\"up\",\"ended\":\"2026-11-21T10:06:43Z\","
		"\"result\":\"refused\",\"text\":\"401\"},\"retry\":null},"
		"{\"name\":\"e\",\"type\":\"transmission\",\"running\":false,\"owed\":false,\"last\":"
		"{\"event\":\"up\",\"ended\":\"2026-11-21T10:06:43Z\","
		"\"result\":\"not started\",\"text\":\"no such file\"},\"retry\":null}]}");
}

static void test_daemon(void **state)
{
	struct ph_status_daemon s = {
		.config_path = "/etc/pinhold.conf",
		.started_ms = 1,
		.table = { .installed = true, .owner = true, .foreign_ms = 400000 },
	};
	json_t *o = ph_status_daemon_json(&s, &clock_now);

	(void)state;
	assert_valid(o, "daemon");
	assert_string_equal(json_string_value(json_object_get(o, "config")), "/etc/pinhold.conf");
	assert_string_equal(json_string_value(json_object_get(o, "started")),
			    "2026-11-21T10:06:43Z");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(o, "table"), "foreign_change")),
		"2026-11-21T10:13:23Z");
	json_decref(o);
	s = (struct ph_status_daemon){ .started_ms = 1, .table = { .error = "not permitted" } };
	o = ph_status_daemon_json(&s, &clock_now);
	assert_valid(o, "daemon");
	assert_true(json_is_null(json_object_get(o, "config")));
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(o, "table"), "ownership")),
		"plain");
	json_decref(o);
}

/* The checker itself: each kind of mistake is one. */
static void test_schema_refuses(void **state)
{
	static const struct {
		const char *key, *value; /* value NULL: the member is taken away */
	} cases[] = {
		{ "why", NULL },
		{ "extra", "1" },
		{ "name", "\"9\"" },
		{ "state", "\"unknown\"" },
		{ "changes", "-1" },
		{ "changes", "\"1\"" },
		{ "since", "\"yesterday\"" },
		{ "can_verify", "null" },
		{ "private", "{\"address\":\"192.0.2.1\",\"port\":0}" },
		{ "private", "{\"address\":\"192.0.2.1\",\"port\":65536}" },
		{ "private", "{\"address\":\"192.0.2.1\"}" },
		{ "own_port", NULL },
		{ "own_port", "0" },
		{ "own_port", "65536" },
		{ "uplink", NULL },
		{ "uplink", "0" },
		{ "uplink", "4" },
		{ "holders", "[null]" },
		{ "holders", "{}" },
	};
	struct ph_config_mapping config = config_of("web");
	struct ph_status_mapping s = up(&config);
	const json_t *of = json_object_get(json_object_get(schema.root, "$defs"), "mapping");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		json_t *o = ph_status_mapping_json(&s, &clock_now);

		assert_true(schema_check(&schema, of, o, "mapping"));
		if (cases[i].value)
			json_object_set_new(o, cases[i].key,
					    json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		else
			json_object_del(o, cases[i].key);
		if (schema_check(&schema, of, o, "mapping"))
			fail_msg("%s may be %s", cases[i].key,
				 cases[i].value ? cases[i].value : "absent");
		json_decref(o);
	}
}

/* Every member, wherever it is, has its item in pinhold(8). */
static void find_in_manual(const json_t *node, const char *manual)
{
	const json_t *properties = json_object_get(node, "properties");
	const char *key;
	json_t *below;

	json_object_foreach((json_t *)(uintptr_t)properties, key, below)
	{
		char item[128];

		snprintf(item, sizeof(item), "\n.It Va %s ", key);
		if (!strstr(manual, item))
			fail_msg("pinhold(8) does not describe %s", key);
		find_in_manual(below, manual);
		find_in_manual(json_object_get(below, "items"), manual);
	}
}

static void test_manual(void **state)
{
	static char manual[262144];
	FILE *f = fopen(MANUAL, "re");
	const char *name;
	json_t *of;

	(void)state;
	assert_non_null(f);
	assert_true(fread(manual, 1, sizeof(manual) - 1, f) > 0);
	fclose(f);
	json_object_foreach(json_object_get(schema.root, "$defs"), name, of)
	{
		find_in_manual(of, manual);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_up),
		cmocka_unit_test(test_own_port_and_uplink),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_without_values),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_publishers),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_schema_refuses),
		cmocka_unit_test(test_manual),
	};
	int failed;

	schema.root = json_load_file(SCHEMA, JSON_REJECT_DUPLICATES, NULL);
	if (!schema.root) {
		fprintf(stderr, "%s: no schema\n", SCHEMA);
		return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	json_decref(schema.root);
	return failed;
}
