# SPDX-License-Identifier: GPL-2.0-or-later
"""Each rule of the table is missed by somebody: pinhold without it fails a scenario that it passes with it.

pinhold-mutant (mutant.c) leaves out the rule that PINHOLD_MUTANT names. The scenarios, with all rules there, are
the tests of test_table*.py and test_uplinks.py.
"""
import functools
import os
import re

import pytest

from pinlab import daemon, scenarios, uplinks
from pinlab.daemon import PATIENCE

PATIENT = 2  # seconds; what a mutant fails is mostly an answer that never comes

TAKEN = "pinhold-mutant: without "


def six(scenario, **options):
    return functools.partial(scenario, six=True, **options)


def own(scenario, **options):
    return functools.partial(scenario, where="gw", **options)


# Beside it, so that the IPv6 rule is the second of its kind.
BESIDE = {"beside": {"bind": 9000, "target": ":9000"}}
BESIDE_UDP = {"beside": {"protocol": "udp", "bind": 9000, "target": ":9000"}}

# What can stand in a base chain, and one mapping's chain of each kind. CHAIN/COMMENT/NUMBER: the NUMBERth rule
# of the chain with that comment; where there are two, the second is that of IPv6.
BORROWED = "our own servers, where a service has the bind port: to our own port"
PEERS = "our own servers: accepted, never translated"
ARRIVAL = "from outside: to the mapping's chain"
OTHERS = "from outside to anything else: not our business"
ANOTHER = "from outside by another way: not our business"
INSIDE = "from inside: to the target"
ITSELF = "from this machine: to the target"
LOCALHOST = "from this machine alone: to the target"
HERE = "from inside, UDP: to this machine, at the address the client's interface has"
BORROW = "our own flows leave from the borrowed bind port"
SERVICES = "the service's flows to our servers: from any free port"
PINNED = "what leaves from a bind port keeps it"
MASQUERADE = "loopback and snat: replies come back this way"
GUARD = "route_localnet lets nobody in but who is translated"
SPOOFED = "nor anybody who says that he is this machine"
REPLIES = "replies leave by the uplink they came by"

MUTANTS = {
    f"prerouting/{BORROWED}/1": functools.partial(scenarios.server_speaks_first, borrowed=True),
    f"prerouting/{BORROWED}/2": six(scenarios.server_speaks_first, borrowed=True, more=BESIDE),
    f"prerouting/{PEERS}/1": scenarios.server_speaks_first,
    f"prerouting/{PEERS}/2": six(scenarios.server_speaks_first),
    f"prerouting/{ARRIVAL}/1": scenarios.outside,
    f"prerouting/{ARRIVAL}/2": six(scenarios.outside),
    f"prerouting/{OTHERS}/1": scenarios.no_way_round,
    f"prerouting/{ANOTHER}/1": scenarios.other_way,
    f"prerouting/{HERE}/1": own(scenarios.loopback, protocol="udp"),
    f"prerouting/{HERE}/2": six(scenarios.loopback, where="gw", protocol="udp", more=BESIDE_UDP),
    f"prerouting/{INSIDE}/1": scenarios.loopback,
    f"prerouting/{INSIDE}/2": six(scenarios.loopback),
    f"output/{ITSELF}/1": scenarios.from_itself,
    f"output/{ITSELF}/2": six(scenarios.from_itself),
    f"output/{LOCALHOST}/1": scenarios.localhost_from_itself,
    f"output/{LOCALHOST}/2": six(scenarios.from_itself, where="gw", protocol="udp", more=BESIDE_UDP),
    f"postrouting/{BORROW}/1": scenarios.identity,
    f"postrouting/{BORROW}/2": six(scenarios.identity, more=BESIDE),
    f"postrouting/{SERVICES}/1": scenarios.service_asks_server,
    f"postrouting/{SERVICES}/2": six(scenarios.service_asks_server, more=BESIDE_UDP),
    f"postrouting/{PINNED}/1": scenarios.pinned,
    f"postrouting/{PINNED}/2": six(scenarios.pinned),
    f"postrouting/{MASQUERADE}/1": scenarios.loopback,
    f"guard/{GUARD}/1": scenarios.localhost_guarded,
    f"guard/{SPOOFED}/1": scenarios.localhost_spoofed,
    f"replies/{REPLIES}/1": uplinks.uplink_lan,
    f"replies-output/{REPLIES}/1": uplinks.uplink_own,
    "in-web/web/1": scenarios.outside,
    "in-own/own/1": own(scenarios.outside, name="own"),
    "in-six/six/1": six(scenarios.outside, name="six"),
    "in-cam/cam/1": functools.partial(scenarios.masqueraded, name="cam"),
    "in-admin/admin/1": scenarios.localhost,
    "in-same/same/1": scenarios.identity,
    "in-same/refused by allow or limit/1": scenarios.identity_allowed,
    "old-own/own (old port)/1": scenarios.old_port,
}

# And of rules, statements (#NUMBER) whose lack is not that of the whole rule.
STATEMENTS = {
    f"prerouting/{BORROWED}/1#4 mark": functools.partial(scenarios.server_speaks_first, borrowed=True),
    f"prerouting/{PEERS}/1#2 peers": scenarios.outside,
    f"prerouting/{PEERS}/1#4 mark": scenarios.server_speaks_first,
    f"prerouting/{PEERS}/1#5 return": scenarios.server_speaks_first,
    f"prerouting/{PEERS}/2#4 mark": six(scenarios.server_speaks_first),
    f"prerouting/{HERE}/1#2 mark": own(scenarios.loopback, protocol="udp"),
    f"prerouting/{INSIDE}/1#2 mark": scenarios.loopback,
    f"prerouting/{INSIDE}/2#2 mark": six(scenarios.loopback),
    f"output/{ITSELF}/1#2 mark": scenarios.from_itself,
    f"postrouting/{MASQUERADE}/1#1 marked": scenarios.outside,
    f"guard/{GUARD}/1#1 interface": scenarios.localhost_from_itself,
    f"guard/{GUARD}/1#2 localnet": scenarios.localhost,
    "in-web/web/1#1 allow": scenarios.allowed,
    "in-web/web/1#1 limit": scenarios.limited,
    "in-web/web/1#1 mark": scenarios.outside,
    "in-web/web/1#2 counter": scenarios.outside,
    "in-cam/cam/1#1 mark": functools.partial(scenarios.masqueraded, name="cam"),
    "in-same/same/1#1 allow": scenarios.identity_allowed,
    "in-same/same/1#1 mark": scenarios.identity,
    "in-same/same/1#2 counter": scenarios.identity,
    "in-same/same/1#4 return": scenarios.identity_allowed,
}

# The time between two turns of `rotate`, in milliseconds.
ROTATE = {"PINHOLD_ROTATE_MS": "1000"}


def mutant_program():
    path = os.path.join(os.path.dirname(os.path.dirname(daemon.program())), "tests", "lab", "pinhold-mutant")
    assert os.access(path, os.X_OK), f"{path}: not built"
    return path


@pytest.fixture
def mutant(monkeypatch):
    """From now on the lab runs that program; without a rule or statement, if one is named."""
    def become(what=None):
        monkeypatch.setenv("PINHOLD", mutant_program())
        for key, value in ROTATE.items():
            monkeypatch.setenv(key, value)
        if what:
            monkeypatch.setenv("PINHOLD_MUTANT", what)

    return become


@pytest.mark.parametrize("what", [*MUTANTS, *STATEMENTS])
def test_is_missed(lab, mutant, what):
    mutant(what)
    with pytest.raises((AssertionError, OSError)):
        (MUTANTS | STATEMENTS)[what](lab, patience=PATIENT)
    # When they have ended, all that they said has been read: whether the table had the rule, or else the failure is
    # none that counts.
    for p in lab.daemons:
        p.bury()
    assert any(p.logged(TAKEN) for p in lab.daemons), [p.story() for p in lab.daemons]


@pytest.mark.parametrize("scenario", [scenarios.outside, scenarios.old_port], ids=lambda s: s.__name__)
def test_the_mutant_is_healthy_otherwise(lab, mutant, scenario):
    """It fails for want of the rule alone. (old_port has no other test: nobody else rotates so often.)"""
    mutant()
    scenario(lab)


def test_a_rule_that_is_nowhere_is_complained_of(lab, mutant):
    mutant(f"prerouting/{ARRIVAL}/3")
    lab.isp.full_cone(scenarios.PUBLIC[1])
    with lab.pinhold_file({"web": scenarios.mapping(lab)}) as p:
        p.wait_hook("web")
        assert p.stop() == 97
        assert p.logged("no table had ") and not p.logged(TAKEN)


def complete(lab):
    """Mappings for whose sake every kind of rule is there."""
    limit = "100/second"

    def section(bind, *args, **settings):
        return {**scenarios.mapping(lab, *args, **settings), "bind": bind}

    return {
        "web": section(9001, allow="198.51.100.0/24", limit=limit),
        "own": {**section(9002, "gw", rotate="1m"), "bind": "9002-9003"},
        "six": section(9004, six=True),
        "same": {**section(9005, allow="198.51.100.0/24", limit=limit), "target": ":9005"},
        "same6": {**section(9006, six=True), "target": "none"},
        "dns": section(9009, "gw", "udp"),
        "dns6": section(9010, "gw", "udp", six=True),
        "admin": {**section(9007), "target": f"127.0.0.1:{scenarios.LOCAL}"},
        "cam": section(9008, snat="yes", interface="wan2", loopback="no"),
        "off": section(9012, interface="wan3", enabled="no"),
    }


def rules(table):
    """CHAIN/COMMENT/NUMBER of all rules in a table's text."""
    found, chain, seen = [], None, {}
    for line in table.splitlines():
        head = re.match(r"\tchain (\S+) \{", line)
        if head:
            chain = head[1]
        elif line == "\t}":
            chain = None
        elif chain and not line.startswith("\t\ttype "):
            comment = re.search(r'comment "([^"]*)"$', line)
            assert comment, f"a rule without a comment: {line}"
            key = (chain, comment[1])
            seen[key] = seen.get(key, 0) + 1
            found.append(f"{chain}/{comment[1]}/{seen[key]}")
    return found


def test_every_rule_has_its_mutant(lab, mutant):
    mutant()
    sections = complete(lab)
    lab.gw.both_uplinks(scripted=False)
    lab.isp.full_cone_range(9001, 9010, 20000)
    lab.isp2.full_cone_range(9001, 9010, 20000)
    with lab.pinhold_file(sections) as p:
        p.wait_hooks(*(name for name in sections if name != "off"))
        assert p.wait_hook("own", timeout=PATIENCE).event == "change"  # so that there are two ports of it
        found = rules(lab.gw.table())
    # What is there for other chains' sake: same6 has a chain like same's, but no second rule, and two like own's.
    for name in ("same6", "dns", "dns6"):
        found.remove(f"in-{name}/{name}/1")
    assert sorted(found) == sorted(MUTANTS), set(found) ^ set(MUTANTS)
