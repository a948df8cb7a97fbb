/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Name look-up by the real resolver, with an /etc/hosts and an /etc/resolv.conf of our own. */

#include "net.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pinhold/resolve.h>

/* meson.build puts these between the resolver and libuv. */
int __real_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb fn,
			  const char *node, const char *service, const struct addrinfo *hints);
int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb fn,
			  const char *node, const char *service, const struct addrinfo *hints);
uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);

static unsigned lookups;
static uint64_t put_forward; /* ms */

int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb fn,
			  const char *node, const char *service, const struct addrinfo *hints)
{
	lookups++;
	return __real_uv_getaddrinfo(loop, request, fn, node, service, hints);
}

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	return __real_uv_now(loop) + put_forward;
}

struct world {
	uv_loop_t loop;
	struct ph_resolver *resolver;
};

struct caller {
	struct world *world;
	struct ph_resolve *request;
	struct caller *cancels; /* when it is called */
	size_t n;
	unsigned asks_again;
	unsigned calls;
	int error;
	struct ph_address first;
};

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	static struct world w;

	write_file("/etc/hosts", "192.0.2.1 one.test\n2001:db8::1 one.test\n192.0.2.2 two.test\n");
	/* Nobody answers there, and one is told so at once. */
	write_file("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
	assert_int_equal(uv_loop_init(&w.loop), 0);
	w.resolver = ph_resolver_new(&w.loop);
	assert_non_null(w.resolver);
	lookups = 0;
	put_forward = 0;
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	ph_resolver_free(w->resolver);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	return 0;
}

static void on_resolved(void *data, int error, const struct ph_address *addresses, size_t n);

static void ask(struct world *w, struct caller *c, const char *host, enum ph_family family)
{
	unsigned before = c->calls;

	c->world = w;
	assert_int_equal(ph_resolve_start(w->resolver, host, family, on_resolved, c, &c->request),
			 0);
	assert_int_equal(c->calls, before);
}

static void on_resolved(void *data, int error, const struct ph_address *addresses, size_t n)
{
	struct caller *c = data;

	c->calls++;
	c->request = NULL;
	c->error = error;
	c->n = n;
	if (n > 0)
		c->first = addresses[0];
	if (c->cancels) {
		ph_resolve_cancel(c->cancels->request);
		c->cancels->request = NULL;
	}
	if (c->asks_again > 0) {
		c->asks_again--;
		ask(c->world, c, "one.test", PH_IPV4);
	}
}

static void run(struct world *w)
{
	uv_run(&w->loop, UV_RUN_DEFAULT);
}

static void assert_got(const struct caller *c, const char *wanted)
{
	char text[PH_ADDRESS_STRLEN];

	assert_int_equal(c->calls, 1);
	assert_int_equal(c->error, 0);
	assert_string_equal(ph_address_format(&c->first, text), wanted);
}

static void test_shared(void **state)
{
	static struct caller v4[1000], v6[10], two;
	struct world *w = *state;

	for (size_t i = 0; i < 1000; i++)
		ask(w, &v4[i], "one.test", PH_IPV4);
	for (size_t i = 0; i < 10; i++)
		ask(w, &v6[i], "one.test", PH_IPV6);
	ask(w, &two, "two.test", PH_IPV4);
	run(w);
	for (size_t i = 0; i < 1000; i++)
		assert_got(&v4[i], "192.0.2.1");
	for (size_t i = 0; i < 10; i++)
		assert_got(&v6[i], "2001:db8::1");
	assert_got(&two, "192.0.2.2");
	assert_int_equal(lookups, 3);
}

static void test_remembered(void **state)
{
	struct caller a = { 0 }, b = { 0 }, c = { 0 };
	struct world *w = *state;

	ask(w, &a, "one.test", PH_IPV4);
	run(w);
	assert_got(&a, "192.0.2.1");
	write_file("/etc/hosts", "192.0.2.9 one.test\n");
	put_forward = PH_RESOLVE_KEEP_MS - 1000;
	ask(w, &b, "one.test", PH_IPV4);
	run(w);
	assert_got(&b, "192.0.2.1");
	assert_int_equal(lookups, 1);
	/* A server may have moved. */
	put_forward = PH_RESOLVE_KEEP_MS;
	ask(w, &c, "one.test", PH_IPV4);
	run(w);
	assert_got(&c, "192.0.2.9");
	assert_int_equal(lookups, 2);
}

static void test_failure(void **state)
{
	struct caller some[5] = { 0 };
	struct world *w = *state;

	for (size_t i = 0; i < 3; i++)
		ask(w, &some[i], "nobody.test", PH_IPV4);
	run(w);
	ask(w, &some[3], "nobody.test", PH_IPV4);
	run(w);
	assert_int_equal(lookups, 1);
	put_forward = PH_RESOLVE_FAILED_MS;
	write_file("/etc/hosts", "192.0.2.3 nobody.test\n");
	ask(w, &some[4], "nobody.test", PH_IPV4);
	run(w);
	assert_int_equal(lookups, 2);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(some[i].calls, 1);
		assert_int_equal(some[i].error, UV_EAI_AGAIN);
		assert_int_equal(some[i].n, 0);
	}
	assert_got(&some[4], "192.0.2.3");
}

static void test_cancel(void **state)
{
	struct caller a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }, e = { 0 };
	struct world *w = *state;

	ask(w, &a, "one.test", PH_IPV4);
	ask(w, &b, "one.test", PH_IPV4);
	ask(w, &c, "one.test", PH_IPV4);
	ask(w, &d, "two.test", PH_IPV4);
	ph_resolve_cancel(b.request);
	ph_resolve_cancel(d.request);
	a.cancels = &c; /* which is as ready as a */
	run(w);
	assert_got(&a, "192.0.2.1");
	assert_int_equal(b.calls + c.calls + d.calls, 0);
	/* What was begun for nobody is remembered all the same. */
	ask(w, &d, "two.test", PH_IPV4);
	ask(w, &e, "two.test", PH_IPV4);
	ph_resolve_cancel(e.request);
	ph_resolve_cancel(NULL);
	run(w);
	assert_got(&d, "192.0.2.2");
	assert_int_equal(e.calls, 0);
	assert_int_equal(lookups, 2);
}

/* Who asks again whenever he is told does not keep the loop from its other work. */
static void test_again_and_again(void **state)
{
	struct caller a = { .asks_again = 50 };
	struct world *w = *state;
	unsigned turns = 0;

	ask(w, &a, "one.test", PH_IPV4);
	while (uv_run(&w->loop, UV_RUN_ONCE))
		turns++;
	assert_int_equal(a.calls, 51);
	assert_int_equal(lookups, 1);
	assert_true(turns >= 50);
}

static void test_free_before_the_answer(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(53) };
	struct caller slow = { 0 }, queued = { 0 }, again = { 0 };
	int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct world *w = *state;
	char query[512];

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(server, (const struct sockaddr *)&in, sizeof(in)), 0);
	ask(w, &again, "one.test", PH_IPV4);
	run(w);
	/* The one thread is busy with a server that does not answer. */
	ask(w, &slow, "slow.test", PH_IPV4);
	assert_true(recv(server, query, sizeof(query), 0) > 0);
	ask(w, &queued, "two.test", PH_IPV4);
	ask(w, &again, "one.test", PH_IPV4);
	assert_false(ph_resolver_free(w->resolver));
	run(w);
	assert_int_equal(slow.calls + queued.calls, 0);
	assert_int_equal(again.calls, 1);
	close(server);

	/* Nothing is under way: nothing is to be waited for. */
	w->resolver = ph_resolver_new(&w->loop);
	ask(w, &queued, "two.test", PH_IPV4);
	run(w);
	assert_got(&queued, "192.0.2.2");
	assert_true(ph_resolver_free(w->resolver));
	run(w);
	w->resolver = NULL;
	assert_true(ph_resolver_free(NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_shared), TEST(test_remembered),      TEST(test_failure),
		TEST(test_cancel), TEST(test_again_and_again), TEST(test_free_before_the_answer),
	};

	setenv("UV_THREADPOOL_SIZE", "1", 1);
	ip("link set lo up\n");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
