"""The challenge page of NDES, read as MDM systems read it, and what its challenges are worth; who may come from where; approval by a person."""

import base64
import concurrent.futures
import hashlib
import json
import re
import urllib.error
import urllib.request

import pytest

from scep_kit import FAILURE, PENDING, SUCCESS, Device, Refused, csr
from stack_kit import until

# The expression of Fleet and others, and the literal ends that ManageEngine cuts at.
PASSWORD = re.compile(r"(?i)The enrollment challenge password is: <B> (?P<password>\S*)")
END = " </B> <P> This password can be used only once"


def make_profile(stack, name, *options):
    stack.signetctl("profile", "create", name, "--kind", "scep", "--issuer", "demo-issuing", "--template", "Device-Certificate", *options)
    return f"{stack.scep_url}/scep/{name}"


@pytest.fixture(scope="module")
def ndes(stack):
    """The password of the page of the profile that has the paths of NDES."""
    make_profile(stack, "ndes", "--authorization", "challenge", "--ndes", "true", "--admin-user", "mdm")
    return stack.signetctl("profile", "reset-password", "ndes", "--kind", "scep").stdout.strip()


def page(stack, password, path="/certsrv/mscep_admin/", user="mdm"):
    request = urllib.request.Request(stack.scep_url + path)
    if password is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers, answer.read()


def challenge(stack, password, **where):
    return PASSWORD.search(page(stack, password, **where)[1].decode("utf-16"))["password"]


def test_the_page_is_windows_own_to_the_octet(stack, ndes):
    headers, body = page(stack, ndes)
    assert headers["Content-Type"] == "text/html" and body[:2] == b"\xff\xfe"
    text = body[2:].decode("utf-16-le")
    password = PASSWORD.search(text)["password"]
    assert re.fullmatch("[0-9A-F]{16}", password)
    assert text.split("The enrollment challenge password is: <B> ")[1].split(END)[0] == password
    md5 = re.search(r"The thumbprint \(hash value\) for the CA certificate is: <B> (([0-9A-F]{8} ){4})</B> <P> The enrollment", text)
    ca = Device(stack.scep_url + "/certsrv/mscep/mscep.dll").ca()[1]
    from cryptography.hazmat.primitives import hashes
    assert md5[1].replace(" ", "").lower() == ca.fingerprint(hashes.MD5()).hex()
    assert (f"<B> {password} </B> <P> This password can be used only once and will expire within 60 minutes. <P> Each enrollment requires a new challenge "
            "password. You can refresh this web page to obtain a new challenge password. </P>") in text


@pytest.mark.parametrize("path", ["/certsrv/mscep_admin", "/CertSrv/mscep_admin/", "/scep/ndes/mscep_admin/"])
def test_it_is_at_every_spelling(stack, ndes, path):
    assert challenge(stack, ndes, path=path) != challenge(stack, ndes, path=path)


def test_domain_and_user_are_told_apart(stack, ndes):
    assert challenge(stack, ndes, user="DOMAIN\\mdm")


@pytest.mark.parametrize("user, password", [("mdm", None), ("mdm", "wrong"), ("somebody", "right")])
def test_without_the_password_it_asks_for_it(stack, ndes, user, password):
    with pytest.raises(urllib.error.HTTPError) as refused:
        page(stack, ndes if password == "right" else password, user=user)
    assert refused.value.code == 401 and refused.value.headers["WWW-Authenticate"].startswith("Basic realm=")
    line = until(lambda: next((line for line in reversed(stack.log("scep-gw").splitlines()) if '"rule":"admin-password"' in line), None))
    assert all(word in line for word in ('"profile":"ndes"', '"client":"127.0.0.1"', '"user_agent":"Python-urllib'))


@pytest.mark.parametrize("path", ["/certsrv/mscep/mscep.dll", "/certsrv/mscep/mscep.dll/pkiclient.exe", "/CertSrv/mscep/mscep.dll"])
def test_a_challenge_enrols_one_device_once(stack, ndes, path):
    device = Device(stack.scep_url + path, "once.demo.test")
    password = challenge(stack, ndes)
    first = device.enroll(password, ["once.demo.test"])
    assert first.status == SUCCESS
    assert device.send(device.csr).certificate == first.certificate  # the answer was lost
    again = Device(stack.scep_url + path).enroll(password)
    assert (again.status, again.fail_info) == (FAILURE, "2")


def test_of_many_at_once_exactly_one_has_it(stack, ndes):
    password = challenge(stack, ndes)
    devices = [Device(stack.scep_url + "/certsrv/mscep/mscep.dll", f"race-{n}.demo.test") for n in range(6)]
    messages = [device.message(csr(device.key, device.common_name, password)) for device in devices]
    from scep_kit import Reply
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda pair: Reply(pair[0].post(pair[1]), pair[0].key), zip(devices, messages)))
    assert sorted(reply.status for reply in replies) == [SUCCESS] + [FAILURE] * 5


def test_an_expired_one_and_none_and_one_made_up(stack, ndes):
    url = stack.scep_url + "/certsrv/mscep/mscep.dll"
    password = challenge(stack, ndes)
    stack.sql("UPDATE scep.challenge SET expires_at = now() - interval '1 second' WHERE used_at IS NULL")
    for wrong in (password, None, "0123456789ABCDEF"):
        assert Device(url).enroll(wrong).status == FAILURE
    assert password not in str(stack.sql("SELECT * FROM scep.challenge")) and password not in stack.log("scep-gw")
    assert hashlib.sha256(password.encode()).hexdigest()[:16] not in str(stack.sql("SELECT mac FROM scep.challenge")) + stack.log("ra") + stack.log("scep-gw")


def test_a_full_cache_and_no_permission_are_said_in_windows_words(stack):
    make_profile(stack, "full", "--authorization", "challenge", "--challenges-most", "2", "--admin-user", "mdm", "--ndes-page-in-utf8", "true")
    password = stack.signetctl("profile", "reset-password", "full", "--kind", "scep").stdout.strip()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:  # at one moment, too, there are no more
        pages = [one[1].decode() for one in pool.map(lambda _: page(stack, password, "/scep/full/mscep_admin/"), range(32))]
    assert sum(PASSWORD.search(one) is not None for one in pages) == 2
    assert "The password cache is full." in page(stack, password, "/scep/full/mscep_admin/")[1].decode()
    stack.signetctl("profile", "set", "full", "--kind", "scep", "--admin-networks", "192.0.2.0/24")
    assert "You do not have sufficient permission to enroll with SCEP." in page(stack, None, "/scep/full/mscep_admin/")[1].decode()


def test_who_may_ask_from_where(stack):
    url = make_profile(stack, "elsewhere", "--request-networks", "192.0.2.0/24,2001:db8::/32", "--legacy", "true")
    with pytest.raises(Refused) as refused:
        Device(url).get("operation=GetCACaps")
    assert refused.value.status == 403
    until(lambda: '"rule":"network"' in stack.log("scep-gw"))
    stack.signetctl("profile", "set", "elsewhere", "--kind", "scep", "--request-networks", "127.0.0.0/8")
    assert Device(url).get("operation=GetCACaps")[1]


def test_behind_a_proxy_who_may_ask_is_its_client(stack):
    url = make_profile(stack, "branch", "--request-networks", "192.0.2.0/24")
    stack.env["SIGNET_EXTRA_scep_gw_2"] = "SIGNET_SCEP_PROXY_NETWORKS=127.0.0.0/8"
    port = int(stack.env["SIGNET_SCEP_PORT"])
    behind = url.replace(f":{port}/", f":{port + int(stack.env['SIGNET_REPLICA_STEP'])}/")

    def ask(url, *addresses):
        request = urllib.request.Request(f"{url}?operation=GetCACaps", headers={"X-Forwarded-For": ", ".join(addresses)})
        try:
            return urllib.request.urlopen(request, timeout=30).status
        except urllib.error.HTTPError as refused:
            return refused.code
    try:
        stack.start("scep-gw@2")
        stack.wait("scep-gw@2")
        assert ask(behind, "192.0.2.1") == 200
        assert ask(behind, "192.0.2.1", "198.51.100.1") == 403  # the first one is made up by the client
        assert ask(url, "192.0.2.1") == 403                     # nobody is believed where no proxies are named
        line = next(json.loads(line) for line in stack.log("scep-gw@2").splitlines() if '"client":"198.51.100.1"' in line)
        assert (line["caller"], line["proxy"], line["rule"]) == ("198.51.100.1", "127.0.0.1", "network")
    finally:
        stack.stop("scep-gw@2")
        del stack.env["SIGNET_EXTRA_scep_gw_2"]


def test_a_disabled_profile_is_not_there(stack):
    url = make_profile(stack, "off", "--disabled", "true")
    with pytest.raises(Refused) as refused:
        Device(url).get("operation=GetCACaps")
    assert refused.value.status == 404


# ---- approval ----

def pending(stack, device):
    return next((line.split()[0] for line in stack.signetctl("cert", "pending").stdout.splitlines() if device.common_name in line), None)


def test_a_device_waits_for_a_person_and_polls(stack):
    url = make_profile(stack, "manual", "--authorization", "approval")
    device = Device(url, "manual.demo.test")
    assert device.enroll(None, ["manual.demo.test"]).status == PENDING
    assert device.send(device.csr).status == PENDING  # micromdm asks so
    assert device.poll().status == PENDING
    stack.stop("scep-gw")
    stack.start("scep-gw")
    stack.wait("scep-gw")
    assert device.poll().status == PENDING
    other = Device(url, "manual.demo.test")
    other.transaction = device.transaction
    assert other.poll().fail_info == "4"
    stack.signetctl("cert", "approve", pending(stack, device))
    reply = device.poll()
    assert reply.status == SUCCESS and reply.certificate.public_key().public_numbers() == device.key.public_key().public_numbers()
    assert device.poll().certificate == reply.certificate == device.send(device.csr).certificate


def test_a_device_that_nobody_knows_is_told_so(stack):
    device = Device(f"{stack.scep_url}/scep/manual", "denied.demo.test")
    assert device.enroll(None, ["denied.demo.test"]).status == PENDING
    stack.signetctl("cert", "deny", pending(stack, device), "--reason", "nobody knows it")
    reply = device.poll()
    assert (reply.status, reply.fail_info) == (FAILURE, "2")
    assert "nobody knows it" in stack.log("scep-gw")
