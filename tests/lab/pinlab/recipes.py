# SPDX-License-Identifier: GPL-2.0-or-later
"""The blocks of pinhold-recipes(7), as a reader copies them, and an /etc to copy them to."""
import os
import re
import subprocess

from .servers import DIRECTORY

SOURCES = os.path.join(os.path.dirname(__file__), "..", "..", "..", "src")
PAGE, MANUAL = f"{SOURCES}/pinhold-recipes.7", f"{SOURCES}/pinhold.8"
ESCAPES = {r"\e": "\\", r"\(dq": '"', r"\&": ""}


def _plain(line):
    def one(match):
        assert match[0] in ESCAPES, f"{match[0]} in {line!r}"
        return ESCAPES[match[0]]

    assert not line.startswith((".", "'")), f"{line!r} in a literal block"
    return re.sub(r"\\(?:\(..|.)", one, line)


def recipe(name, file, page=PAGE):
    """What stands on the page for that file, its blocks one after the other."""
    with open(page, encoding="utf-8") as f:
        lines = f.read().splitlines()
    blocks = []
    for n, line in enumerate(lines):
        if line == f'.\\" recipe: {name} {file}':
            assert lines[n + 1].startswith(".Bd -literal"), f"{page}:{n + 2}: no literal block"
            end = lines.index(".Ed", n)
            blocks.append("\n".join(map(_plain, lines[n + 2:end])) + "\n")
    assert blocks, f"{page}: no block of {name} for {file}"
    return "\n".join(blocks)


def filled(text, values):
    """What the page calls the reader's own, replaced: {old: new}; each must be there."""
    for old, new in values.items():
        assert old in text, f"{old!r} is not in {text!r}"
        text = text.replace(old, new)
    return text


def furnish():
    """Makes /etc a copy of the machine's, in this sandbox alone, where the lab's certificate is trusted."""
    etc = f"{DIRECTORY}/etc"
    if os.path.exists(etc):
        return
    subprocess.run(["cp", "-a", "/etc", etc], check=True)
    subprocess.run(["mount", "--bind", etc, "/etc"], check=True)
    # These were bound there, and nobody sees through the copy.
    for name in ("hosts", "resolv.conf"):
        target = os.path.realpath(f"/etc/{name}")
        if not target.startswith("/run/"):
            subprocess.run(["mount", "--bind", f"{DIRECTORY}/{name}", target], check=True)
    os.makedirs("/etc/ssl/certs", exist_ok=True)
    with open(f"{DIRECTORY}/tls.pem", encoding="ascii") as f:
        certificate = f.read()
    with open("/etc/ssl/certs/ca-certificates.crt", "a", encoding="ascii") as f:
        f.write(certificate)
    # The same for those who look for it by its hash.
    done = subprocess.run(["openssl", "x509", "-noout", "-hash", "-in", f"{DIRECTORY}/tls.pem"], check=True,
                          capture_output=True, text=True)
    os.symlink(f"{DIRECTORY}/tls.pem", f"/etc/ssl/certs/{done.stdout.strip()}.0")


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, mode)) as f:
        f.write(text)
    return path


def secret(name, text):
    """A file of /etc/pinhold for pinhold's eyes."""
    return write(f"/etc/pinhold/{name}", text + "\n", 0o600)


def pinhold(lab, text, **options):
    """pinhold with that file, behind a [global] that makes do with the lab's servers, and is quick."""
    common = f"""[global]
stun = {", ".join(lab.stun_names())}
keepalive = {", ".join(lab.keepalive_names())}
detect = 1s
verify = 5s
"""
    return lab.pinhold_file(common + "\n" + text, **options)
