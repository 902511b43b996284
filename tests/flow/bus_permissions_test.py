"""Every subject of the bus × every service: what is in deploy/bus/permissions is allowed, everything else is refused."""

import ssl

import pytest

from nats_kit import Nats
from permissions_kit import events, permissions

TABLE = permissions()
CALLS = sorted({subject for row in TABLE.values() for subject in row["calls"] | row["serves"]})
CONSUMERS = {f"{service}-{subject.replace('.', '-')}": service for service, row in TABLE.items() for subject in row["hears"] - row["live"]}
EVENTS = sorted(event["subject"] for event in events())


def concrete(subject):
    return subject.replace("*", "somebody")


@pytest.mark.parametrize("service", sorted(TABLE))
def test_a_service_uses_its_own_subjects_and_no_other(stack, service):
    row = TABLE[service]
    bus = Nats(stack, service)
    wrong = []

    def expect(allowed, may, verb, subject):
        if may(subject) != allowed:
            wrong.append(f"{service} may{' not' if allowed else ''} {verb} {subject}")

    for subject in CALLS:
        # An empty message to a real service is a request without a reply subject: refused there, and nobody is told.
        expect(subject in row["calls"], bus.may_publish, "publish", f"signet.{concrete(subject)}.{service}")
        expect(False, bus.may_publish, "publish", f"signet.{concrete(subject)}.{'ra' if service == 'signetctl' else 'signetctl'}")
        # Health is what every service serves, through common/link.
        serves = row["serves"] | ({"health.report"} if service != "signetctl" else set())
        expect(subject in serves, bus.may_subscribe, "subscribe", f"signet.{concrete(subject)}.*")
    # Who makes a consumer, or makes it anew, says which events it delivers, and where: that is for signetctl, and for these alone.
    for consumer in CONSUMERS:
        for call in ("DURABLE.CREATE", "CREATE"):
            expect(service == "signetctl", bus.may_publish, "publish", f"$JS.API.CONSUMER.{call}.SIGNET_EVENTS.{consumer}")
        for call in ("INFO", "MSG.NEXT"):
            expect(CONSUMERS[consumer] == service, bus.may_publish, "publish", f"$JS.API.CONSUMER.{call}.SIGNET_EVENTS.{consumer}")
    for subject in EVENTS:
        if subject not in row["announces"]:
            expect(False, bus.may_publish, "publish", "signet.event." + subject)
        expect(subject in row["hears"], bus.may_subscribe, "subscribe", "signet.event." + subject)
    for other in TABLE:
        expect(other == service, bus.may_subscribe, "subscribe", f"_INBOX.{other}.x")
    for subject in (">", "signet.>", "_INBOX.>", "$SYS.>"):
        expect(False, bus.may_subscribe, "subscribe", subject)
    for subject in ("$JS.API.STREAM.DELETE.SIGNET_EVENTS", "$JS.API.STREAM.PURGE.SIGNET_EVENTS", "$JS.API.STREAM.MSG.DELETE.SIGNET_EVENTS",
                    "$JS.API.STREAM.UPDATE.SIGNET_EVENTS", "$JS.API.STREAM.MSG.GET.SIGNET_EVENTS", "$JS.API.DIRECT.GET.SIGNET_EVENTS",
                    "$JS.API.CONSUMER.CREATE.SIGNET_EVENTS", "$JS.API.CONSUMER.CREATE.SIGNET_EVENTS.other", "$JS.API.CONSUMER.DELETE.SIGNET_EVENTS.inventory-certificate-issued", "$SYS.REQ.SERVER.PING"):
        expect(False, bus.may_publish, "publish", subject)
    bus.close()
    assert not wrong


def test_without_a_certificate_nobody_gets_on_the_bus(stack):
    with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        Nats(stack, None)
