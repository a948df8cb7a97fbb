# SPDX-License-Identifier: GPL-2.0-or-later
"""Other firewalls on the gateway, each by its real tool and with the very files of nft/examples.

Each can be started without pinhold's rule, which is added later as its example tells people to, and says what
it does to its rules in daily life (`disturbances`). What a tool would write lies in /run or is covered by a
mount of the sandbox's own: none of them sees the machine's files or network.
"""
import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from . import net
from .servers import DIRECTORY

NFT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../../nft"))
EXAMPLES = f"{NFT}/examples"
PATIENCE = 20

_serial = itertools.count(1)


def example(name, rule=True):
    """The text of an example; rule=False: without the lines that let in what pinhold has marked."""
    with open(f"{EXAMPLES}/{name}", encoding="utf-8") as f:
        lines = f.readlines()
    kept = [line for line in lines if rule or "0x08000000" not in line or line.startswith("#")]
    assert rule or len(kept) < len(lines), f"{name}: there is no rule to leave out"
    return "".join(kept)


def directory(name):
    path = f"{DIRECTORY}/{name}-{next(_serial)}"
    os.mkdir(path)
    return path


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def until(condition, what):
    """Asks a program that announces nothing until it says yes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"


class Neighbour:
    """A firewall in the gateway's namespace. For a `with` block: it is gone afterwards, whatever happens."""

    filters_dnat = True  # without the rule, translated connections are refused as well

    def __init__(self, lab):
        self.ns = lab.gw.ns
        self.run = self.ns.run

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, rule=True):
        """Loads its rules. rule: with the example's for pinhold."""
        raise NotImplementedError

    def add_rule(self):
        """Does what the example says, while it runs."""
        self.start(rule=True)

    def disturbances(self):
        """{name: callable}: what its admin does to it; the rules are the same afterwards."""
        return {"loaded again": self.add_rule}

    def stop(self):
        raise NotImplementedError

    def listing(self):
        """All rules on the gateway but pinhold's, without counters: table by table, for comparison."""
        text = self.run(["nft", "-s", "list", "ruleset"])
        tables = [t for t in re.split(r"(?m)^(?=table )", text) if not t.startswith("table inet pinhold ")]
        for save in ("iptables-legacy-save", "ip6tables-legacy-save"):
            saved = re.sub(r"(?m)^#.*\n|\[\d+:\d+\]", "", self.run([save]))
            tables += [f"{save} {t}" for t in re.split(r"(?m)^(?=\*)", saved)]
        return sorted(t for t in tables if t.strip())


class Nftables(Neighbour):
    """nftables.service: `nft -f /etc/nftables.conf`, which begins with `flush ruleset`."""

    def start(self, rule=True):
        self.run(["nft", "-f", write(f"{directory('nftables')}/nftables.conf",
                                     example("nftables.conf", rule))])

    def disturbances(self):
        return {"reload": self.add_rule, "stop": lambda: self.run("nft flush ruleset"),
                "start": self.add_rule}

    def stop(self):
        self.run("nft flush ruleset")


class Iptables(Neighbour):
    """iptables-persistent's files, loaded by the tools of one backend (`nft` or `legacy`)."""

    EMPTY = "*filter\nCOMMIT\n*nat\nCOMMIT\n*raw\nCOMMIT\n"

    def __init__(self, lab, backend):
        super().__init__(lab)
        self.backend = backend

    def restore(self, text, family="", *options):
        self.run([f"ip{family}tables-{self.backend}-restore", *options], stdin=text)

    def append(self, text):
        """Further rules, indented as may be."""
        self.restore("".join(line.strip() + "\n" for line in text.splitlines()), "", "--noflush")

    def iptables(self, *words):
        self.run([f"iptables-{self.backend}", *words])

    def start(self, rule=True):
        self.restore(example("iptables.rules.v4", rule))
        self.restore(example("iptables.rules.v6", rule), "6")

    def disturbances(self):
        return {"reload": self.add_rule, "flush": self._flush, "start": self.add_rule}

    def _flush(self):
        """iptables-persistent's `flush`: open policies, no rules."""
        for family in ("", "6"):
            command = f"ip{family}tables-{self.backend}"
            for chain in ("INPUT", "FORWARD", "OUTPUT"):
                self.run([command, "-P", chain, "ACCEPT"])
            self.run([command, "-F"])

    def stop(self):
        self._flush()
        for family in ("", "6"):
            self.restore(self.EMPTY, family)
            if self.backend == "nft":
                family = f"ip{family}"
                for table in ("filter", "nat", "raw"):
                    self.ns.nft(f"table {family} {table} {{}}\ndelete table {family} {table}\n")


class Ufw(Neighbour):
    """ufw as its package installs it: incoming and routed traffic is dropped."""

    ANCHOR = "# drop INVALID packets"  # the example names this place

    def __init__(self, lab):
        super().__init__(lab)
        self._etc = directory("ufw")
        self._defaults = write(f"{self._etc}.defaults",
                               'IPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\nDEFAULT_OUTPUT_POLICY="ACCEPT"\n'
                               'DEFAULT_FORWARD_POLICY="DROP"\nDEFAULT_APPLICATION_POLICY="SKIP"\n'
                               'MANAGE_BUILTINS=no\nIPT_SYSCTL=\nIPT_MODULES=""\n')
        os.mkdir(f"{self._etc}/applications.d")
        for name in os.listdir("/usr/share/ufw/iptables"):
            shutil.copy(f"/usr/share/ufw/iptables/{name}", self._etc)
        shutil.copy("/usr/share/ufw/ufw.conf", self._etc)
        # The sandbox's mounts are its own: the machine's ufw sees nothing of this.
        net.run(["mount", "--bind", self._etc, "/etc/ufw"])
        net.run(["mount", "--bind", self._defaults, "/etc/default/ufw"])

    def start(self, rule=True):
        if rule:
            self._write_rules()
        self.run("ufw --force enable")
        self.run("ufw reload")  # the files that its package brings are completed by the first one

    def add_rule(self):
        self._write_rules()
        self.run("ufw reload")

    def _write_rules(self):
        rules = "".join(line for line in example("ufw.before.rules").splitlines(True) if line[0] == "-")
        for family in ("", "6"):
            path = f"{self._etc}/before{family}.rules"
            with open(f"/usr/share/ufw/before{family}.rules", encoding="utf-8") as f:
                before, after = f.read().split(self.ANCHOR, 1)
            write(path, before + rules.replace("ufw-", f"ufw{family}-") + "\n" + self.ANCHOR + after)

    def disturbances(self):
        return {"reload": lambda: self.run("ufw reload"), "disable": lambda: self.run("ufw disable"),
                "enable": lambda: self.run("ufw --force enable")}

    def stop(self):
        try:
            self.run("ufw disable")
            for family in ("ip", "ip6"):
                self.ns.nft(f"table {family} filter {{}}\ndelete table {family} filter\n")
        finally:
            net.run("umount /etc/ufw")
            net.run("umount /etc/default/ufw")


class Firewalld(Neighbour):
    """firewalld on a system bus of its own, with `wan` in the zone `public` and the LAN in `trusted`.

    It accepts what is translated by itself: `ports` are what the example opens.
    """

    filters_dnat = False
    BUS = """
        <busconfig>
          <type>system</type>
          <listen>unix:path={path}</listen>
          <auth>EXTERNAL</auth>
          <policy context="default">
            <allow user="*"/> <allow own="*"/>
            <allow send_type="method_call"/> <allow receive_type="method_call"/>
            <allow send_type="signal"/> <allow receive_type="signal"/>
            <allow send_requested_reply="true" send_type="method_return"/>
            <allow receive_type="method_return"/>
            <allow send_requested_reply="true" send_type="error"/> <allow receive_type="error"/>
          </policy>
        </busconfig>
        """

    def __init__(self, lab, ports=("8443/tcp",)):
        super().__init__(lab)
        self.ports = ports
        self._processes = []

    def start(self, rule=True):
        root = directory("firewalld")
        for name in ("zones", "services", "policies", "ipsets", "icmptypes", "helpers"):
            os.mkdir(f"{root}/{name}")
        write(f"{root}/firewalld.conf", "DefaultZone=public\nFirewallBackend=nftables\n")
        write(f"{root}/zones/trusted.xml", '<zone target="ACCEPT"><interface name="lan"/></zone>')
        write(f"{root}/zones/public.xml", '<zone><interface name="wan"/><service name="ssh"/></zone>')
        bus = f"{root}/bus"
        self._env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={bus}"}
        daemon = self._spawn(["dbus-daemon", "--nofork", "--print-address=1", "--config-file",
                              write(f"{root}/bus.conf", self.BUS.format(path=bus))], stdout=subprocess.PIPE)
        assert daemon.stdout.readline(), "dbus-daemon did not start"
        daemon.stdout.close()
        self._spawn(["firewalld", "--nofork", "--nopid", "--system-config", root, "--log-target", "file",
                     "--log-file", f"{root}/log"])
        until(lambda: self.run(["firewall-cmd", "--state"], env=self._env, check=False).returncode == 0,
              "firewalld runs")
        if rule:
            self.add_rule()

    def _spawn(self, command, **options):
        self._processes.append(self.ns.spawn(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                             env=self._env, **options))
        return self._processes[-1]

    def command(self, *words):
        return self.run(["firewall-cmd", *words], env=self._env)

    def add_rule(self):
        self.run(["sh", f"{EXAMPLES}/firewalld.sh", "public", *self.ports], env=self._env)

    def remove_rule(self):
        self.run(["sh", f"{EXAMPLES}/firewalld.sh", "--undo", "public", *self.ports], env=self._env)

    def disturbances(self):
        return {"reload": lambda: self.command("--reload"),
                "complete-reload": lambda: self.command("--complete-reload"),
                "restart": self._restart}

    def _restart(self):
        bus, firewalld = self._processes
        command = firewalld.args
        self._end(firewalld)
        self._processes = [bus]
        self._spawn(command)
        until(lambda: self.run(["firewall-cmd", "--state"], env=self._env, check=False).returncode == 0,
              "firewalld runs again")

    @staticmethod
    def _end(process):
        process.send_signal(signal.SIGTERM)  # it takes its table away
        process.wait(PATIENCE)

    def stop(self):
        for process in reversed(self._processes):
            self._end(process)
        for family in ("ip", "ip6"):  # where it put direct rules
            self.ns.nft(f"table {family} filter {{}}\ndelete table {family} filter\n")


class Fw4(Neighbour):
    """OpenWrt's firewall as it comes, zones `lan` and `wan`: what fw4 hands to nft, written by hand."""

    RULES = """
        table inet fw4
        flush table inet fw4
        table inet fw4 {{
            chain input {{
                type filter hook input priority filter; policy drop;
                iifname "lo" accept
                ct state established,related accept
                tcp flags & (fin | syn | rst | ack) == syn jump syn_flood
                iifname "lan" jump input_lan
                iifname "wan" jump input_wan
                jump handle_reject
            }}
            chain forward {{
                type filter hook forward priority filter; policy drop;
                ct state established,related accept
                iifname "lan" jump forward_lan
                iifname "wan" jump forward_wan
                jump handle_reject
            }}
            chain handle_reject {{
                meta l4proto tcp reject with tcp reset
                reject with icmpx type port-unreachable
            }}
            chain syn_flood {{
                limit rate 25/second burst 50 packets return
                drop
            }}
            chain input_lan {{ accept; }}
            chain input_wan {{
                meta l4proto {{ icmp, ipv6-icmp }} accept
                {user}
                include "{includes}/chain-post/input_wan/*.nft"
                jump handle_reject
            }}
            chain forward_lan {{ oifname "wan" accept; }}
            chain forward_wan {{
                {user}
                include "{includes}/chain-post/forward_wan/*.nft"
                jump handle_reject
            }}
            chain srcnat {{
                type nat hook postrouting priority srcnat; policy accept;
                meta nfproto ipv4 oifname "wan" masquerade
            }}
        }}
        """

    def __init__(self, lab):
        super().__init__(lab)
        self.user = ""  # rules of the user's own for zone wan
        self._includes = directory("nftables.d")
        for chain in ("input_wan", "forward_wan"):
            os.makedirs(f"{self._includes}/chain-post/{chain}")

    def start(self, rule=True):
        if rule:
            for chain in ("input_wan", "forward_wan"):
                shutil.copy(f"{NFT}/fw4/50-pinhold.nft", f"{self._includes}/chain-post/{chain}")
        self.ns.nft(self.RULES.format(includes=self._includes, user=self.user))

    def disturbances(self):
        return {"reload": self.add_rule, "stop": lambda: self.run("nft delete table inet fw4"),
                "start": self.add_rule}

    def stop(self):
        self.ns.nft("table inet fw4\ndelete table inet fw4\n")


class Docker(Iptables):
    """Docker 28's rules for one bridge with one container, as it writes them by iptables-nft.

    No engine runs here: the rules are written by hand, and the container is a namespace behind docker0.
    """

    CONTAINER = "172.17.0.2"
    RULES = """
        *raw
        -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
        COMMIT
        *nat
        :DOCKER - [0:0]
        -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
        -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
        -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
        COMMIT
        *filter
        :FORWARD DROP [0:0]
        :DOCKER - [0:0]
        :DOCKER-BRIDGE - [0:0]
        :DOCKER-CT - [0:0]
        :DOCKER-FORWARD - [0:0]
        :DOCKER-ISOLATION-STAGE-1 - [0:0]
        :DOCKER-ISOLATION-STAGE-2 - [0:0]
        -A FORWARD -j DOCKER-USER
        -A FORWARD -j DOCKER-FORWARD
        -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
        -A DOCKER ! -i docker0 -o docker0 -j DROP
        -A DOCKER-BRIDGE -o docker0 -j DOCKER
        -A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A DOCKER-FORWARD -j DOCKER-CT
        -A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
        -A DOCKER-FORWARD -j DOCKER-BRIDGE
        -A DOCKER-FORWARD -i docker0 -j ACCEPT
        -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
        -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
        COMMIT
        """

    def __init__(self, lab):
        super().__init__(lab, "nft")
        # The example calls `iptables`, which is what the machine's admin has chosen; here it is Docker's.
        self._tools = directory("tools")
        for tool in ("iptables", "ip6tables"):
            os.symlink(shutil.which(f"{tool}-nft"), f"{self._tools}/{tool}")
        self.container, = net.add_namespaces(["box"])
        self.ns.ip("link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0",
                   "link add box0 type veth peer name eth0 netns box", "link set box0 up master docker0",
                   "link set docker0 up")
        self.container.ip(f"addr add {self.CONTAINER}/16 dev eth0", "link set eth0 up",
                          "route add default via 172.17.0.1")

    def listen(self, port):
        """A TCP socket of the container's."""
        s = self.container.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.bind(("", port))
        s.listen()
        s.settimeout(5)
        return s

    def start(self, rule=True):
        self.iptables("-N", "DOCKER-USER")
        self._load()
        if rule:
            self.add_rule()

    def _load(self):
        # Docker fills its own chains anew and does not touch DOCKER-USER.
        for table, chain in (("raw", "PREROUTING"), ("nat", "PREROUTING"), ("nat", "OUTPUT"),
                             ("nat", "POSTROUTING"), ("filter", "FORWARD")):
            self.iptables("-t", table, "-F", chain)
        self.append(self.RULES)

    def _script(self, *words):
        self.run(["sh", f"{EXAMPLES}/docker.sh", *words],
                 env={**os.environ, "PATH": f"{self._tools}:{os.environ['PATH']}"})

    def add_rule(self):
        self._script()

    def remove_rule(self):
        self._script("--undo")

    def disturbances(self):
        return {"restart": self._load, "the example once more": self.add_rule}

    def stop(self):
        super().stop()
        self.ns.ip("link del docker0", "link del box0")
        self.container.close_sockets()
        net.run("ip netns del box")


class Fail2ban:
    """fail2ban with two jails: `web` for a service of the gateway's, `behind` for one in the LAN."""

    JAILS = """
        [DEFAULT]
        backend = polling
        filter =
        logpath = {root}/service.log
        ignoreself = false
        [web]
        enabled = true
        port = 443
        protocol = tcp
        [behind]
        enabled = true
        port = 443
        protocol = tcp
        """

    def __init__(self, lab):
        self.ns = lab.gw.ns
        self._root = root = directory("fail2ban")
        for name in ("action.d", "filter.d"):
            shutil.copytree(f"/etc/fail2ban/{name}", f"{root}/{name}")
        for name in ("fail2ban.conf", "jail.conf", "paths-debian.conf", "paths-common.conf"):
            shutil.copy(f"/etc/fail2ban/{name}", root)
        write(f"{root}/service.log", "")
        write(f"{root}/jail.local", example("fail2ban.jail.local"))
        os.mkdir(f"{root}/jail.d")
        write(f"{root}/jail.d/lab.local", re.sub(r"(?m)^ +", "", self.JAILS.format(root=root)))
        write(f"{root}/fail2ban.local", f"[DEFAULT]\ndbfile = {root}/bans\nlogtarget = {root}/log\n")
        self._where = ["-c", root, "-s", f"{root}/sock", "-p", f"{root}/pid"]
        self._process = None

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_):
        self._stop()

    def _start(self):
        self._process = self.ns.spawn(["fail2ban-server", *self._where, "-f", "start"],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
        until(lambda: self._client("ping", check=False).returncode == 0, "fail2ban runs")

    def _stop(self):
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)

    def restart(self):
        """It remembers whom it has banned."""
        self._stop()
        self._start()

    def _client(self, *words, **options):
        return self.ns.run(["fail2ban-client", *self._where, *words], **options)

    def ban(self, jail, address):
        self._client("set", jail, "banip", address)
        self.wait(jail, address)

    def unban(self, jail, address):
        self._client("set", jail, "unbanip", address)
        self.wait(jail, address, banned=False)

    def wait(self, jail, address, banned=True):
        """Until the kernel knows it."""
        until(lambda: (address in self._banned(jail)) == banned, f"{jail}: {address}\n{self.log()}")

    def _banned(self, jail):
        rules = self.ns.run("nft list ruleset")
        return "".join(re.findall(rf"(?s)set addr-set-{jail} \{{.*?\n\t\}}", rules))

    def log(self):
        with contextlib.suppress(FileNotFoundError), open(f"{self._root}/log", encoding="utf-8") as f:
            return f.read()
        return ""
