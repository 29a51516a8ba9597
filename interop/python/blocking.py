# SPDX-License-Identifier: Apache-2.0
"""Programs as users of Proton's blocking interface write them. Usage: blocking.py PROGRAM URL [ARGUMENT ...]"""
import hashlib
import json
import sys
import threading

from proton import Message
from proton.utils import BlockingConnection, LinkDetached, SendException, SyncRequestResponse


def say(event, **fields):
    print(json.dumps({'event': event, **fields}, default=str), flush=True)


def in_background(work):
    """Runs `work` in a thread of its own: a blocking send waits for its outcome, which the receiver has yet to give."""
    result = {}

    def run():
        try:
            result['value'] = work()
        except BaseException as error:
            result['error'] = error

    thread = threading.Thread(target=run)
    thread.start()

    def join():
        thread.join()
        if 'error' in result:
            raise result['error']
        return result['value']
    return join


def roundtrip(url, address, count, sasl='yes', user=None, password=None):
    """One connection sends messages, another receives them, and accepts each."""
    options = {'timeout': 60, 'sasl_enabled': sasl == 'yes', 'allowed_mechs': 'ANONYMOUS'}
    connection = BlockingConnection(url, **options)
    receiver = connection.create_receiver(address, credit=10)

    def send():
        other = BlockingConnection(url, **options)
        sender = other.create_sender(address)
        for i in range(int(count)):
            sender.send(Message(id=i, body='message %d' % i, properties={'i': i}))
        sender.close()
        other.close()

    sent = in_background(send)
    for i in range(int(count)):
        message = receiver.receive(timeout=60)
        assert (message.id, message.body, message.properties) == (i, 'message %d' % i, {'i': i}), message
        receiver.accept()
    # What was said of the last message leaves with this.
    receiver.close()
    sent()
    connection.close()
    say('done', count=int(count))


def large(url, address, size, frame):
    """One large message, in frames as small as asked for."""
    options = {'timeout': 60, 'sasl_enabled': False, 'max_frame_size': int(frame)}
    connection = BlockingConnection(url, **options)
    receiver = connection.create_receiver(address, credit=1)
    body = bytes(i * 7 % 256 for i in range(int(size)))

    def send():
        other = BlockingConnection(url, **options)
        other.create_sender(address).send(Message(body=body, inferred=True))
        other.close()

    sent = in_background(send)
    got = bytes(receiver.receive(timeout=60).body)
    receiver.accept()
    receiver.close()
    sent()
    connection.close()
    say('done', equal=got == body, size=len(got), sha256=hashlib.sha256(got).hexdigest())


def outcomes(url, address):
    """What the sender hears of each outcome."""
    options = {'timeout': 60, 'sasl_enabled': False}
    given = ['accept', 'reject', 'release', 'modify']

    def receive():
        other = BlockingConnection(url, **options)
        receiver = other.create_receiver(address, credit=10)
        answers = {
            'accept': receiver.accept,
            'reject': receiver.reject,
            'release': lambda: receiver.release(delivered=False),
            'modify': lambda: receiver.release(delivered=True),
        }
        for _ in given:
            answers[receiver.receive(timeout=60).body]()
        receiver.close()
        other.close()

    received = in_background(receive)
    connection = BlockingConnection(url, **options)
    sender = connection.create_sender(address)
    for body in given:
        try:
            heard = str(sender.send(Message(body=body)).remote_state)
        except SendException as error:
            heard = str(error.state)
        say('outcome', given=body, heard=heard)
    received()
    connection.close()
    say('done')


def requests(url, address, count):
    """Requests over a dynamic source; somebody else answers."""
    connection = BlockingConnection(url, timeout=60, sasl_enabled=False)
    client = SyncRequestResponse(connection, address)
    say('inbox', address=client.reply_to)
    for i in range(int(count)):
        answer = client.call(Message(body='request %d' % i))
        assert answer.body == 'REQUEST %d' % i, answer
    connection.close()
    say('done', count=int(count))


def refused(url, address):
    """A link that is refused."""
    connection = BlockingConnection(url, timeout=60, sasl_enabled=False)
    try:
        connection.create_sender(address)
        say('attached')
    except LinkDetached as error:
        say('refused', condition=error.condition, message=str(error))
    connection.close()
    say('done')


if __name__ == '__main__':
    globals()[sys.argv[1]](*sys.argv[2:])
