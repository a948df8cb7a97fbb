# SPDX-License-Identifier: GPL-2.0-or-later
"""Another file while it runs: all of it or nothing, and only what has changed is touched."""
import os
import re
import signal
import threading

import pytest

from pinlab import daemon, scripted
from pinlab.witness import PUBLIC, Witness, reach

NEVER = {"interval": "1h", "detect": "10m", "verify": "1d"}

# How a file is read again: both must come to the same.
WAYS = {
    "command": lambda p: p.reload(),
    "signal": lambda p: p.hup(),
}


@pytest.fixture(params=WAYS)
def read_again(request):
    return WAYS[request.param]


@pytest.fixture
def other(lab):
    """A mapping that is changed, watched as closely as the witness."""
    with Witness(lab, name="other", bind=9001) as other:
        yield other


@pytest.fixture
def witness(lab):
    with Witness(lab) as witness:
        yield witness


@pytest.fixture
def pair(lab, other, witness):
    """pinhold with the two, up."""
    with lab.pinhold_file({"other": other.section, "witness": witness.section}) as p:
        other.seen(p)
        witness.seen(p)
        yield p


def test_nothing_has_changed(pair, lab, other, witness, read_again):
    monitor = lab.gw.monitor()
    # Comments, order and spelling are no settings.
    pair.settings = dict(reversed(pair.settings.items()))
    pair.write("# the same\n" + pair.text().replace("interval = 1s", "interval = 1"))
    read_again(pair)
    read_again(pair)
    assert monitor.stop() == []
    other.unmoved()
    witness.unmoved()


def test_changed_target_changes_one_chain(pair, lab, other, witness, read_again):
    before = lab.gw.handles()
    monitor = lab.gw.monitor()
    pair.change("other", target=":443")
    read_again(pair)
    transactions = monitor.stop()
    assert len(transactions) == 1, transactions
    # The mapping's chain, and where clients inside are led to.
    assert all("in-other" in line or "element inet pinhold loopback4" in line for line in transactions[0]), \
        transactions
    after = lab.gw.handles()
    assert {k for k in before if before[k] != after[k]} == {"in-other rules"} and before.keys() == after.keys()
    pair.state_file("other").wait(lambda status: status["target"] == ":443")
    other.unmoved("gw", table=False)  # holders, public port and counter: all as before
    witness.unmoved()


def test_answer_comes_after_the_table(pair, lab):
    """Time and again: whoever has the answer finds the table as the file has it."""
    with pair.control() as c:
        for n in range(40):
            bit = f"0x0{n % 2 + 1}000000"
            pair.change("global", mark=f"{bit}/0x0f000000")
            assert "reload" in c.ask(command="reload")
            assert bit in lab.gw.table()


def test_what_reload_says(pair, lab, witness):
    pair.change("other", target=":443")
    lab.isp.full_cone(29002, 9002)
    pair.add("more", bind=9002, target="none")
    done = pair.reload()
    assert done.stderr == ""
    for text in ("1 changed: other", "1 added: more", "1 unchanged"):
        assert text in done.stdout, done.stdout
    pair.remove("other")
    pair.change("more", protocol="udp", detect="5s")
    done = pair.reload()
    assert "1 removed: other" in done.stdout, done.stdout
    assert re.fullmatch(rf"pinhold: {re.escape(pair.path)}:\d+: detect concerns TCP alone[^\n]*\n", done.stderr)
    witness.unmoved()


def test_added_and_removed(pair, lab, other, witness, read_again):
    lab.isp.full_cone(29002, 9002)
    pair.add("more", bind=9002, target=f"{lab.nas.address}:443")
    read_again(pair)
    up = pair.wait_hook("more")
    assert (up.event, up.port) == ("up", "29002")
    assert lab.client.get(up.endpoint).body == "nas"
    pair.wait_state("more", "up")
    other.unmoved()
    witness.unmoved()

    pair.remove("more")
    read_again(pair)
    assert pair.wait_hook("more").event == "down"
    assert lab.client.refused(up.endpoint)
    assert "more" not in lab.gw.table() and "9002" not in lab.gw.table()
    pair.state_file("more").wait(lambda status: status is None)
    assert [m["name"] for m in pair.status()["mappings"]] == ["other", "witness"]
    assert pair.command_line("get", "more", "state").returncode == 2
    other.unmoved()
    witness.unmoved()


def test_removed_and_added_again_at_once(pair, lab, other, witness):
    """The old one's port is free for the new one."""
    section = pair.settings["other"]
    pair.remove("other")
    pair.reload()
    assert pair.wait_hook("other").event == "down"
    pair.add("other", **section)
    pair.reload()
    assert pair.wait_hook("other").event == "up"
    assert lab.client.get(other.endpoint).body == "nas"
    witness.unmoved()


def test_renamed(pair, lab, other, witness):
    """Another name is another mapping, which wants the same bind port in the same moment."""
    section = {k: v for k, v in pair.settings["other"].items() if k != "hook"}
    pair.remove("other")
    pair.add("renamed", **section)
    pair.reload()
    up = pair.wait_hook("renamed")
    assert (up.event, up.endpoint) == ("up", other.endpoint)
    assert pair.wait_hook("other").event == "down"
    assert lab.client.get(other.endpoint).body == "nas"
    assert "in-other" not in lab.gw.table()
    witness.unmoved()


@pytest.mark.parametrize("settings", [{"interval": "2s"}, {"detect": "9s"}, {"verify": "7m"},
                                      {"fwmark": "0x66"}, {"hook_events": "up"}], ids=str)
def test_settings_that_cost_nothing(pair, other, witness, settings):
    pair.change("other", **settings)
    pair.reload()
    other.unmoved()
    witness.unmoved()


def test_changed_detect_is_in_force(lab, web):
    """The living holders are watched by it."""
    p = web(NEVER)
    p.change("web", detect="1s")
    p.reload()
    lab.isp.remap(40123)
    assert p.wait_hook("web", timeout=4).endpoint == (PUBLIC[0], 40123)


def test_changed_verify_is_in_force(lab, web):
    p = web(NEVER)
    p.change("web", verify="5s")
    p.reload()
    lab.isp.remap(40123, how="keep")
    assert p.wait_hook("web", timeout=9).endpoint == (PUBLIC[0], 40123)


def test_changed_interval_is_in_force(lab, web):
    p = web(NEVER, protocol="udp")
    p.change("web", interval="1s")
    p.reload()
    lab.isp.remap(40123)
    assert p.wait_hook("web", timeout=4).endpoint == (PUBLIC[0], 40123)


def test_changed_servers_are_asked(lab, pair, other, witness):
    with scripted.StunServer(lab.internet.scripted[0]) as one, \
            scripted.StunServer(lab.internet.scripted[1]) as two:
        pair.change("other", stun=[one.name, two.name], verify="5s")
        pair.reload()
        for s in (one, two):
            assert s.wait_asked(timeout=15).peer == other.endpoint
        other.unmoved()
        witness.unmoved()


def test_answers_to_questions_of_the_old_file_are_void(lab, pair, other, witness):
    """A name that is looked up while the list changes has another number in it when the answer comes."""
    late, early = (s.address for s in lab.internet.scripted[:2])
    numeric = [s.address for s in lab.internet.real]
    lab.internet.dns.silent = True
    lab.internet.dns.names = {"late.lab": [late], "early.lab": [early]}
    pair.change("other", stun=["late.lab", *numeric], verify="5s")
    pair.reload()
    lab.internet.dns.wait_asked("late.lab")
    with scripted.StunServer(lab.internet.scripted[0], port=3998) as one, \
            scripted.StunServer(lab.internet.scripted[1], port=3999) as two:
        pair.change("other", stun=["early.lab:3999", "late.lab:3998", *numeric])
        pair.reload()
        lab.internet.dns.speak()
        for s in (one, two):
            s.wait_asked(timeout=30)
    table = lab.gw.table()
    assert f"{early} . tcp . 3999" in table and f"{late} . tcp . 3998" in table
    assert f"{late} . tcp . 3999" not in table and f"{early} . tcp . 3998" not in table
    other.unmoved()
    witness.unmoved()


def test_new_hook_is_told(pair, other, witness):
    """Whoever is new has not heard of the endpoint yet; whoever has is not told again."""
    hook = daemon.HookReceiver()
    pair.change("other", hook=[pair.settings["other"]["hook"], hook.path])
    pair.reload()
    call = hook.wait(20)
    assert call and (call.event, call.endpoint) == ("up", other.endpoint)
    other.unmoved()
    witness.unmoved()


@pytest.mark.parametrize("settings", [{"bind": 9005}, {"bind": "9005-9009"}, {"bind": 9005, "protocol": "udp"}],
                         ids=str)
def test_other_bind_port_starts_that_mapping_again(pair, lab, witness, settings):
    lab.isp.full_cone(29005, 9005)
    if "protocol" in settings:
        settings = {**settings, "target": f"{lab.nas.address}:{lab.nas.echo.port}", "keepalive": None}
    pair.change("other", **settings)
    pair.reload()
    call = pair.wait_hook("other")
    if call.event == "down":
        call = pair.wait_hook("other")
    assert (call.port, call.private_port) == ("29005", "9005")
    reach(lab, call.endpoint, settings.get("protocol", "tcp"))
    table = lab.gw.table()
    assert "9001" not in table and "29001" not in table
    witness.unmoved()


def test_disabled_and_enabled(pair, lab, other, witness, read_again):
    pair.change("other", enabled="no")
    read_again(pair)
    assert pair.wait_hook("other").event == "down"
    assert pair.wait_state("other", "disabled")["public"] is None
    assert "in-other" not in lab.gw.table() and lab.client.refused(other.endpoint)
    witness.unmoved()
    pair.change("other", enabled="yes")
    read_again(pair)
    assert pair.wait_hook("other").event == "up"
    assert lab.client.get(other.endpoint).body == "nas"
    witness.unmoved()


def test_changed_mark_is_everybodys(pair, lab, other, witness):
    pair.change("global", mark="0x01000000/0x0f000000")
    pair.reload()
    table = lab.gw.table()
    # 0x08000000 is among the others now: the highest of them marks what is masqueraded.
    assert "| 0x01000000 counter" in table and "| 0x09000000 dnat" in table
    assert "| 0x08000000" not in table and "| 0x0c000000" not in table
    other.unmoved(table=False)
    witness.unmoved(table=False)


# What is wrong.

WRONG = """[global]
interval = soon
[mapping other]
bind = 9001
target = 192.168.10.50
[mapping witness]
bind = 65536
bnid = 9000
target = :443
[maping third]
"""
MISTAKES = {2: "soon", 5: "192.168.10.50", 7: "65536", 8: "bnid", 10: "maping"}


def test_wrong_file_changes_nothing_and_all_mistakes_are_told(pair, lab, other, witness):
    monitor = lab.gw.monitor()
    pair.write(WRONG)
    done = pair.reload(check=False)
    assert done.returncode == 2
    told = {int(line): text for line, text in
            re.findall(rf"{re.escape(pair.path)}:(\d+): (.*)", done.stderr)}
    assert set(told) == set(MISTAKES), done.stderr
    for line, word in MISTAKES.items():
        assert word in told[line]
    assert done.stderr.endswith("everything stays as it was\n")
    assert monitor.stop() == []
    other.unmoved()
    witness.unmoved()
    # Mended, it is taken.
    pair.change("other", target=":443")
    pair.reload()
    other.unmoved("gw", table=False)


def test_wrong_file_by_signal_is_told_in_the_log(pair, other, witness):
    pair.write(WRONG)
    pair.hup()
    for line, word in MISTAKES.items():
        pair.wait_log(rf"{re.escape(pair.path)}:{line}: .*{word}")
    other.unmoved()
    witness.unmoved()


def vanished(path):
    os.unlink(path)


def directory(path):
    os.unlink(path)
    os.mkdir(path)


def hundred_megabytes(path):
    with open(path, "ab") as f:
        f.truncate(100 << 20)


def hundred_megabytes_of_text(path):
    with open(path, "ab") as f:
        for _ in range(100):
            f.write(b"# filler.......\n" * (1 << 16))


def nul(path):
    with open(path, "ab") as f:
        f.write(b"[mapping x]\nbind = 9\0\n")


def fifo(path):
    """Nobody ever writes to it: reading must not wait."""
    os.unlink(path)
    os.mkfifo(path)


def binary(path):
    with open(path, "wb") as f:
        f.write(bytes(range(256)) * 100)


def empty(path):
    with open(path, "wb"):
        pass


def loop(path):
    os.unlink(path)
    os.symlink(path, path)


@pytest.mark.parametrize("damage", [vanished, directory, hundred_megabytes, hundred_megabytes_of_text, nul,
                                    fifo, binary, empty, loop])
def test_file_that_cannot_be_one(pair, lab, other, witness, damage):
    monitor = lab.gw.monitor()
    size = pair.resident_bytes()
    damage(pair.path)
    done = pair.reload(check=False)
    assert done.returncode == 2, done
    assert pair.path in done.stderr
    # Either a line of the file, or the file as a whole: there is no line 0.
    assert f"{pair.path}:0" not in done.stderr + "".join(pair.logged("conf"))
    assert all(line.startswith("pinhold: ") and line.isprintable() for line in done.stderr.splitlines()), done
    assert len(done.stderr) < 20000
    assert monitor.stop() == []
    # The sanitizer keeps for a while what was given back; 100 MB would show all the same.
    assert pair.resident_bytes() - size < 24 << 20
    other.unmoved()
    witness.unmoved()
    # A file that is right is read again, whatever was there before.
    if os.path.isdir(pair.path):
        os.rmdir(pair.path)
    pair.write(pair.text())
    pair.reload()
    witness.unmoved()


@pytest.mark.parametrize("how", ["no final newline", "CRLF", "byte order mark"])
def test_harmless_peculiarities(pair, other, witness, how):
    pair.change("other", target=":443")
    text = pair.text().encode()
    pair.write({"no final newline": text.rstrip(b"\n"), "CRLF": text.replace(b"\n", b"\r\n"),
                "byte order mark": b"\xef\xbb\xbf" + text}[how])
    pair.reload()
    other.unmoved("gw", table=False)
    witness.unmoved()


@pytest.mark.parametrize("damage", [vanished, directory, hundred_megabytes, fifo, nul])
def test_start_with_such_a_file(lab, damage):
    p = lab.pinhold_file("[mapping web]\nbind = 8443\ntarget = :443\n")
    p.wait_ready()
    assert p.stop() == 0
    damage(p.path)
    done = p.command_line("run", "-c", p.path)
    assert done.returncode == 2 and p.path in done.stderr and lab.gw.table() == ""


# Many at once.

def test_reloads_at_once(pair, lab, other, witness):
    """Twenty clients ask while the file changes under them: each gets an answer, the last file counts."""
    def ask():
        answers.append(pair.command_line("reload"))

    answers = []
    for target in (":443", "192.168.10.50:443") * 2 + (":443",):
        pair.change("other", target=target)
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert len(answers) == 20 and {done.returncode for done in answers} == {0}, answers
    other.unmoved("gw", table=False)
    witness.unmoved()


def test_storm_of_signals(pair, lab, other, witness):
    for n in range(200):
        if n % 10 == 0:
            pair.change("other", target=(":443", "192.168.10.50:443")[n // 10 % 2])
        pair.process.send_signal(signal.SIGHUP)
    pair.change("other", target=":443")
    pair.hup()
    pair.reload()  # an answer: nothing of the storm is left
    other.unmoved("gw", table=False)
    witness.unmoved()


def test_reload_while_clients_hang(pair, other, witness):
    """A client that asks for a reload and never reads the answer keeps nobody waiting."""
    rude = [pair.control() for _ in range(8)]
    for c in rude:
        c.send('{"command":"reload"}\n')
    pair.change("other", target=":443")
    pair.reload()
    other.unmoved("gw", table=False)
    witness.unmoved()
    for c in rude:
        c.socket.close()


def test_without_a_file_there_is_nothing_to_read(lab):
    """The mapping is one of the command line: whoever asks is told so, and it goes on."""
    lab.isp.full_cone(public_port=PUBLIC[1])
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443") as p:
        p.wait_hook()
        p.process.send_signal(signal.SIGHUP)
        p.wait_log("SIGHUP: .*command line")
        done = daemon.finished("reload", ns=lab.gw.ns)
        assert done.returncode == 1 and "command line" in done.stderr
        reach(lab, PUBLIC)
        assert not p.hooks.pending()


def test_signal_before_anyone_listens(lab):
    """SIGHUP while the file is read for the first time waits until there is a handler."""
    def mask(name):
        with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
            return int(next(line.split()[1] for line in f if line.startswith(name)), 16) >> signal.SIGHUP - 1 & 1

    text = "".join(f"[mapping m{n}]\nbind = {1024 + n}\ntarget = :443\nenabled = no\n" for n in range(4000))
    p = lab.pinhold_file(text)
    while not (mask("SigBlk:") or mask("SigCgt:")):
        assert p.alive(), p.story()
    assert mask("SigBlk:"), "nothing holds it back"
    p.process.send_signal(signal.SIGHUP)
    p.notices.wait("RELOADING", "1")
    p.notices.wait("READY", "1", start=p.notices.index("RELOADING"))
    assert not mask("SigBlk:")
    assert p.stop() == 0
