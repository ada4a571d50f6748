"""What a paho client sees of a broker, for `by_paho.rs`: one case a run, its findings on stdout, a line each."""

import queue
import sys

import paho.mqtt.client as mqtt

PORT = int(sys.argv[1])
DEADLINE = 20


class Client:
    """A paho client whose callbacks are waited for, in the order in which they come."""

    def __init__(self, name="c", clean=True, version=mqtt.MQTTv311, keepalive=60, will=None):
        self.events = queue.Queue()
        # paho 2 wants to be told that these callbacks are those of paho 1.
        api = [mqtt.CallbackAPIVersion.VERSION1] if hasattr(mqtt, "CallbackAPIVersion") else []
        self.paho = mqtt.Client(*api, name, clean_session=None if version == mqtt.MQTTv5 else clean, protocol=version)
        self.paho.on_connect = lambda _, __, flags, code, *___: self.events.put(
            ("connected", int(flags["session present"]), int(getattr(code, "value", code)))
        )
        self.paho.on_message = lambda _, __, m: self.events.put(
            ("message", m.topic, m.payload.decode(), m.qos, int(m.retain))
        )
        self.paho.on_subscribe = lambda _, __, ___, codes, *____: self.events.put(("subscribed", *map(int, codes)))
        self.paho.on_unsubscribe = lambda *_: self.events.put(("unsubscribed",))
        self.paho.on_disconnect = lambda *_: self.events.put(("disconnected",))
        if will:
            self.paho.will_set(*will)
        self.paho.connect("127.0.0.1", PORT, keepalive)
        self.paho.loop_start()

    def next(self):
        return self.events.get(timeout=DEADLINE)

    def say(self):
        """Prints what happens next."""
        print(*self.next())

    def subscribe(self, *filters):
        self.paho.subscribe(list(filters))
        return self.next()

    def publish(self, topic, payload, qos=0, retain=False):
        """Returns when the whole handshake of the QoS is over."""
        self.paho.publish(topic, payload, qos, retain).wait_for_publish(DEADLINE)

    def lose(self):
        """Cuts the connection without DISCONNECT."""
        self.paho.loop_stop()
        self.paho._sock_close()

    def leave(self):
        self.paho.disconnect()
        while self.next()[0] != "disconnected":
            pass
        self.paho.loop_stop()


def connected(*args, **kwargs):
    client = Client(*args, **kwargs)
    client.next()
    return client


def connack():
    for _ in range(2):
        client = Client(clean=False)
        client.say()
        client.leave()
    client = Client(clean=True)
    client.say()
    client.leave()


def version_31():
    Client(version=mqtt.MQTTv31).say()


def version_5():
    Client(version=mqtt.MQTTv5).say()


def empty_id():
    one, two = Client(""), Client("")
    one.say()
    two.say()
    one.subscribe(("a", 0))
    two.publish("a", "x", 1)
    one.say()


def codes():
    print(*connected().subscribe(("a", 0), ("b", 1), ("c", 2), ("secret/x", 1), ("$share/g/a", 0)))


def every_qos():
    reader, sender = connected("reader"), connected("sender")
    reader.subscribe(("a/#", 2))
    for qos in (0, 1, 2):
        sender.publish("a/é", "v%d" % qos, qos)
        reader.say()


def retained():
    sender = connected("sender")
    sender.publish("a", "kept", 1, True)
    reader = connected("reader")
    for _ in range(2):
        reader.subscribe(("a", 1))
        reader.say()
    sender.publish("a", "live", 1, True)
    reader.say()
    sender.publish("a", "", 1, True)
    reader.say()
    later = connected("later")
    later.subscribe(("a", 1))
    sender.publish("a", "end", 1)
    later.say()


def will():
    watcher = connected("watcher")
    watcher.subscribe(("wills/#", 1))
    connected("polite", will=("wills/polite", "gone", 1, True)).leave()
    connected("lost", will=("wills/lost", "gone", 1, True)).lose()
    watcher.say()


def unsubscribe():
    reader, sender = connected("reader"), connected("sender")
    reader.subscribe(("a", 1), ("b", 1))
    reader.paho.unsubscribe(["a", "never"])
    reader.say()
    sender.publish("a", "a", 1)
    sender.publish("b", "b", 1)
    reader.say()


def session():
    reader = connected("reader", clean=False)
    reader.subscribe(("a", 1))
    reader.lose()
    sender = connected("sender")
    for i in range(3):
        sender.publish("a", str(i), 2)
    reader = Client("reader", clean=False)
    for _ in range(4):
        reader.say()


def take_over():
    old = connected("same")
    Client("same").say()
    old.say()
    # Else it would come back, and take over in its turn.
    old.paho.loop_stop()


def keep_alive():
    client = connected(keepalive=1)
    pongs = queue.Queue()
    client.paho.on_log = lambda _, __, ___, text: "PINGRESP" in text and pongs.put(text)
    pongs.get(timeout=DEADLINE)
    client.subscribe(("a", 0))
    client.publish("a", "alive", 1)
    client.say()


globals()[sys.argv[2]]()
sys.stdout.flush()
