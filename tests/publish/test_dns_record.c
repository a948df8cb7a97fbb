/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../unit/test.h"

#include <errno.h>
#include <string.h>

#include "publish/dns_record.h"

#define COMMENT "pinhold: web"

static struct dns_record record(const char *value)
{
	struct dns_record r;

	assert_int_equal(dns_record_parse(value, &r), 0);
	return r;
}

static void test_parse(void **state)
{
	static const char *const wrong[] = { "",
					     "A",
					     "MX h",
					     "a h.example",
					     "A h x",
					     "SRV s.example",
					     "SRV s.example h x",
					     "AAAAAAAA h" };
	struct dns_record r = record("SRV \t _m._tcp.example  mc.example");

	(void)state;
	assert_int_equal(r.kind, RECORD_SRV);
	assert_string_equal(r.name, "_m._tcp.example");
	assert_string_equal(r.host, "mc.example");
	r = record("TXT t.example v=1  p=${public_port}");
	assert_string_equal(r.text, "v=1  p=${public_port}");
	r = record("TXT t.example");
	assert_string_equal(r.text, "");
	r = record("IP4P h.example");
	assert_string_equal(dns_record_type(&r), "AAAA");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(dns_record_parse(wrong[i], &r), -EINVAL);
}

/* What is there, what is wanted, and the ID of the record that is meant ("": none, "?": unclear).
 */
struct choice {
	const char *record, *content, *previous, *list, *id;
};

static void test_choose(void **state)
{
	static const struct choice cases[] = {
		{ "A h.e", "192.0.2.2", "192.0.2.1", "[]", "" },
		/* Another name or type is not ours. */
		{ "A h.e", "192.0.2.2", "",
		  "[{'id':'1','type':'A','name':'x.h.e','content':'192.0.2.2'},"
		  "{'id':'2','type':'CNAME','name':'h.e','content':'x'}]",
		  "" },
		/* The only one, whatever it says. */
		{ "A h.e", "192.0.2.2", "",
		  "[{'id':'1','type':'A','name':'H.e.','content':'10.0.0.1'}]", "1" },
		/* Of several: the right one, the one before, ours. */
		{ "A h.e", "192.0.2.2", "192.0.2.1",
		  "[{'id':'1','type':'A','name':'h.e','content':'192.0.2.1'},"
		  "{'id':'2','type':'A','name':'h.e','content':'192.0.2.2'}]",
		  "2" },
		{ "A h.e", "192.0.2.2", "192.0.2.1",
		  "[{'id':'1','type':'A','name':'h.e','content':'192.0.2.1'},"
		  "{'id':'2','type':'A','name':'h.e','content':'192.0.2.3','comment':'" COMMENT
		  "'}]",
		  "1" },
		{ "A h.e", "192.0.2.2", "",
		  "[{'id':'1','type':'A','name':'h.e','content':'192.0.2.1'},"
		  "{'id':'2','type':'A','name':'h.e','content':'192.0.2.3','comment':'" COMMENT
		  "'}]",
		  "2" },
		{ "A h.e", "192.0.2.2", "",
		  "[{'id':'1','type':'A','name':'h.e','content':'192.0.2.1'},"
		  "{'id':'2','type':'A','name':'h.e','content':'192.0.2.3'}]",
		  "?" },
		/* Addresses and IP4P share a type, not a record. */
		{ "AAAA h.e", "2001:db8::1", "",
		  "[{'id':'1','type':'AAAA','name':'h.e','content':'2001::7ec3:cb00:7107'}]", "" },
		{ "IP4P h.e", "2001::7ec4:cb00:7107", "",
		  "[{'id':'1','type':'AAAA','name':'h.e','content':'2001::7ec3:cb00:7107'},"
		  "{'id':'2','type':'AAAA','name':'h.e','content':'2001:db8::1'}]",
		  "1" },
		/* Another server of the same service stays. */
		{ "SRV _m._tcp.e h.e", "", "",
		  "[{'id':'1','type':'SRV','name':'_m._tcp.e','data':{'target':'x.e','port':1}}]",
		  "" },
		{ "SRV _m._tcp.e h.e", "", "",
		  "[{'id':'1','type':'SRV','name':'_m._tcp.e','data':{'target':'x.e','port':1}},"
		  "{'id':'2','type':'SRV','name':'_m._tcp.e','data':{'target':'h.e.','port':1}}]",
		  "2" },
		/* So does another's text. */
		{ "TXT e", "p=2", "p=1",
		  "[{'id':'1','type':'TXT','name':'e','content':'\\\"v=spf1 -all\\\"'}]", "" },
		{ "TXT e", "p=2", "p=1",
		  "[{'id':'1','type':'TXT','name':'e','content':'\\\"v=spf1 -all\\\"'},"
		  "{'id':'2','type':'TXT','name':'e','content':'\\\"p=1\\\"'}]",
		  "2" },
		{ "TXT e", "p=2", "",
		  "[{'id':'1','type':'TXT','name':'e','content':'\\\"v=spf1 -all\\\"'},"
		  "{'id':'2','type':'TXT','name':'e','content':'p=2'}]",
		  "2" },
		{ "TXT e", "p=2", "",
		  "[{'id':'1','type':'TXT','name':'e','content':'p=9','comment':'" COMMENT "'},"
		  "{'id':'2','type':'TXT','name':'e','content':'p=2','comment':'other'}]",
		  "2" },
		{ "HTTPS h.e", "", "",
		  "[{'id':'1','type':'HTTPS','name':'h.e','data':{'value':'port=1'}},"
		  "{'id':'2','type':'HTTPS','name':'h.e','data':{'value':'port=7'}}]",
		  "2" },
		/* Garbage is nobody's. */
		{ "A h.e", "192.0.2.2", "", "[1,null,{},{'type':1,'name':2}]", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct choice *c = &cases[i];
		struct dns_record r = record(c->record);
		struct dns_want want = { &r, c->content, c->previous, 7, 0, COMMENT };
		const json_t *chosen = NULL;
		char text[1024];
		json_t *list;

		strcpy(text, c->list);
		for (char *at = text; *at; at++)
			if (*at == '\'')
				*at = '"';
		list = json_loads(text, 0, NULL);
		assert_non_null(list);
		switch (dns_choose(&want, list, &chosen)) {
		case DNS_NONE:
			assert_string_equal(c->id, "");
			break;
		case DNS_UNCLEAR:
			assert_string_equal(c->id, "?");
			break;
		case DNS_ONE:
			assert_string_equal(json_string_value(json_object_get(chosen, "id")),
					    c->id);
			break;
		}
		json_decref(list);
	}
}

static void assert_body(json_t *body, const char *text)
{
	char *dump = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);

	assert_string_equal(dump, text);
	free(dump);
	json_decref(body);
}

static void creates(const char *value, const char *content, uint32_t ttl, const char *text)
{
	struct dns_record r = record(value);

	assert_body(dns_create(&(struct dns_want){ &r, content, "", 32451, ttl, COMMENT }), text);
}

static void test_create(void **state)
{
	(void)state;
	creates("A h.e", "192.0.2.1", 0,
		"{\"comment\":\"pinhold: web\",\"content\":\"192.0.2.1\",\"name\":\"h.e\",\"proxied\":false,\"ttl\":1,\"type\":\"A\"}");
	creates("IP4P h.e", "2001::1:2:3", 60,
		"{\"comment\":\"pinhold: web\",\"content\":\"2001::1:2:3\",\"name\":\"h.e\",\"proxied\":false,\"ttl\":60,\"type\":\"AAAA\"}");
	creates("SRV _m._tcp.e h.e", "", 0,
		"{\"comment\":\"pinhold: web\",\"data\":{\"port\":32451,\"priority\":0,\"target\":\"h.e\",\"weight\":0},\"name\":\"_m._tcp.e\",\"ttl\":1,\"type\":\"SRV\"}");
	creates("HTTPS h.e", "", 0,
		"{\"comment\":\"pinhold: web\",\"data\":{\"priority\":1,\"target\":\".\",\"value\":\"port=\\\"32451\\\"\"},\"name\":\"h.e\",\"ttl\":1,\"type\":\"HTTPS\"}");
	creates("TXT h.e", "a\"b\\c", 0,
		"{\"comment\":\"pinhold: web\",\"content\":\"\\\"a\\\\\\\"b\\\\\\\\c\\\"\",\"name\":\"h.e\",\"ttl\":1,\"type\":\"TXT\"}");
}

/* The body that changes the record, "" if nothing differs. */
static void changes(const char *value, const char *content, uint32_t ttl, const char *have,
		    const char *text)
{
	struct dns_record r = record(value);
	struct dns_want want = { &r, content, "", 32451, ttl, COMMENT };
	json_t *existing = json_loads(have, 0, NULL), *body = NULL;

	assert_non_null(existing);
	if (dns_compare(&want, existing, &body) == DNS_SAME)
		assert_string_equal(text, "");
	else
		assert_body(body, text);
	json_decref(existing);
}

static void test_compare(void **state)
{
	(void)state;
	changes("A h.e", "192.0.2.1", 0, "{\"content\":\"192.0.2.1\",\"ttl\":300}", "");
	changes("AAAA h.e", "2001:db8::1", 0, "{\"content\":\"2001:DB8:0::1\",\"ttl\":300}", "");
	changes("A h.e", "192.0.2.2", 0, "{\"content\":\"192.0.2.1\",\"ttl\":300,\"proxied\":true}",
		"{\"content\":\"192.0.2.2\",\"name\":\"h.e\",\"ttl\":300,\"type\":\"A\"}");
	changes("A h.e", "192.0.2.1", 60, "{\"content\":\"192.0.2.1\",\"ttl\":300}",
		"{\"name\":\"h.e\",\"ttl\":60,\"type\":\"A\"}");
	changes("A h.e", "192.0.2.1", 60, "{\"content\":\"192.0.2.1\",\"ttl\":1,\"proxied\":true}",
		"");
	changes("SRV s.e h.e", "", 0,
		"{\"ttl\":1,\"data\":{\"priority\":5,\"weight\":6,\"port\":1,\"target\":\"h.e\"}}",
		"{\"data\":{\"port\":32451,\"priority\":5,\"target\":\"h.e\",\"weight\":6},\"name\":\"s.e\",\"ttl\":1,\"type\":\"SRV\"}");
	changes("HTTPS h.e", "", 0,
		"{\"ttl\":1,\"data\":{\"priority\":1,\"target\":\".\",\"value\":\"alpn=\\\"h3,h2\\\" port=443 ech=\\\"a port=1\\\"\"}}",
		"{\"data\":{\"priority\":1,\"target\":\".\",\"value\":\"alpn=\\\"h3,h2\\\" port=\\\"32451\\\" ech=\\\"a port=1\\\"\"},\"name\":\"h.e\",\"ttl\":1,\"type\":\"HTTPS\"}");
	changes("HTTPS h.e", "", 0,
		"{\"ttl\":1,\"data\":{\"value\":\"alpn=h2 port=\\\"32451\\\"\"}}", "");
	changes("TXT t.e", "a\"b", 0, "{\"ttl\":1,\"content\":\"\\\"a\\\\\\\"\\\" \\\"b\\\"\"}",
		"");
	changes("TXT t.e", "p=1", 0, "{\"ttl\":1,\"content\":\"p=1\"}", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
