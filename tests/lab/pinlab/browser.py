# SPDX-License-Identifier: GPL-2.0-or-later
"""Headless Chromium, driven by WebDriver (https://www.w3.org/TR/webdriver2/)."""
import base64
import http.client
import json
import socket
import subprocess
import time


class Browser:
    def __init__(self, directory):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        self._port = port
        self._log = open(f"{directory}/chromedriver.log", "wb")  # pylint: disable=consider-using-with
        self._process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["chromedriver", f"--port={port}"], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            env={"PATH": "/usr/bin:/bin", "HOME": str(directory), "LC_ALL": "C.UTF-8"}, start_new_session=True)
        deadline = time.monotonic() + 30
        while True:
            try:
                self._call("GET", "/status")
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline and self._process.poll() is None, "chromedriver does not answer"
                time.sleep(0.05)
        options = {"binary": "/usr/bin/chromium", "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,900",
            f"--user-data-dir={directory}/chromium"]}
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options}}})
        self._session = f"/session/{made['sessionId']}"

    def _call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        value = json.loads(answer.read())["value"]
        connection.close()
        assert answer.status == 200, value
        return value

    def open(self, url):
        self._call("POST", f"{self._session}/url", {"url": url})

    def run(self, script, *arguments):
        """JavaScript, a function's body; a promise is waited for."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def allow_clipboard(self):
        self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": "Browser.grantPermissions", "params": {
            "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}})

    def picture(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def close(self):
        try:
            self._call("DELETE", self._session)
        finally:
            self._process.kill()
            self._process.wait()
            self._log.close()
