# SPDX-License-Identifier: Apache-2.0
"""An event-driven Qpid Proton container, told what to do by lines of JSON on stdin; says what happens in such lines on stdout.

Commands have a member `do`, events a member `event`. Bodies are texts, or, given by `size`, bytes of a pattern; of bytes
that arrive the size and the SHA-256 are told.
"""
import hashlib
import json
import sys
import threading

from proton import Condition, Data, Delivery, Described, Endpoint, Link, Message, SSLDomain, symbol, ulong
from proton import Handler
from proton.handlers import MessagingHandler
from proton.reactor import ApplicationEvent, Container, EventInjector

OUTCOMES = {
    'accepted': Delivery.ACCEPTED,
    'rejected': Delivery.REJECTED,
    'released': Delivery.RELEASED,
    'modified': Delivery.MODIFIED,
}
STATE_NAMES = {state: name for name, state in OUTCOMES.items()}


def say(event, **fields):
    print(json.dumps({'event': event, **fields}, default=str), flush=True)


def pattern(size):
    block = bytes(i % 251 for i in range(251 * 64))
    return (block * (size // len(block) + 1))[:size]


def condition_of(endpoint):
    condition = endpoint.remote_condition
    if condition is None:
        return {}
    return {'condition': condition.name, 'description': condition.description}


def told(message):
    body = message.body
    if isinstance(body, memoryview):
        body = bytes(body)
    fields = {
        'id': message.id, 'subject': message.subject, 'correlation': message.correlation_id, 'replyTo': message.reply_to,
        'to': message.address, 'contentType': message.content_type, 'properties': dict(message.properties or {}),
        'annotations': {str(k): v for k, v in (message.annotations or {}).items()}, 'durable': message.durable,
        'deliveryCount': message.delivery_count, 'priority': message.priority, 'ttl': message.ttl,
        'groupId': message.group_id,
    }
    if isinstance(body, bytes):
        return {**fields, 'size': len(body), 'sha256': hashlib.sha256(body).hexdigest()}
    return {**fields, 'body': body}


class LinkState:
    def __init__(self, link, command):
        self.link = link
        self.outcome = command.get('outcome', 'accepted')
        self.replenish = command.get('replenish', False)
        self.unsettled = {}
        self.to_send = []
        self.sent = 0
        self.received = 0
        # Of many messages, say only how many.
        self.quiet = command.get('quiet', False)


class Reader(Handler):
    """Takes a message piece by piece, and only when it is told to."""

    def __init__(self, peer, name):
        self.peer = peer
        self.name = name
        self.reading = False
        self.size = 0
        self.digest = hashlib.sha256()
        self.link = None
        self.told = 0

    def on_link_remote_open(self, event):
        self.link = event.link
        say('link-opened', link=self.name)

    def on_delivery(self, event):
        if event.delivery.aborted:
            say('aborted', link=self.name, size=self.size)
            event.delivery.settle()
            return
        self.read()

    def read(self):
        if not self.reading or self.link is None:
            return
        delivery = self.link.current
        while delivery is not None and delivery.readable:
            data = self.link.recv(65536)
            if data is None:
                break
            if data == b'':
                break
            self.digest.update(data)
            self.size += len(data)
        if self.size - self.told >= 1 << 18:
            self.told = self.size
            say('read', link=self.name, size=self.size)
        if delivery is not None and not delivery.partial and not delivery.aborted and delivery.pending == 0:
            say('read-all', link=self.name, size=self.size, sha256=self.digest.hexdigest())
            delivery.update(Delivery.ACCEPTED)
            self.link.advance()
            delivery.settle()
            self.size = self.told = 0
            self.digest = hashlib.sha256()


class Peer(MessagingHandler):
    def __init__(self):
        super().__init__(prefetch=0, auto_accept=False, auto_settle=True, peer_close_is_error=False)
        self.connections = {}
        self.links = {}
        self.readers = {}
        self.serve = {'credit': 0}
        self.refused = set()
        self.injector = EventInjector()

    # ---- commands ----

    def on_start(self, event):
        self.container = event.container
        event.container.selectable(self.injector)
        threading.Thread(target=self.listen_to_stdin, daemon=True).start()
        say('ready')

    def listen_to_stdin(self):
        for line in sys.stdin:
            self.injector.trigger(ApplicationEvent('command', subject=json.loads(line)))
        self.injector.trigger(ApplicationEvent('command', subject={'do': 'quit'}))

    def on_command(self, event):
        command = event.subject
        try:
            getattr(self, 'do_' + command['do'].replace('-', '_'))(command)
        except Exception as error:
            say('error', command=command, message=repr(error))

    def do_connect(self, command):
        options = {'sasl_enabled': command.get('sasl', True)}
        for name in ('allowed_mechs', 'user', 'password', 'heartbeat', 'max_frame_size', 'virtual_host'):
            if name in command:
                options[name] = command[name]
        if command.get('insecure'):
            options['allow_insecure_mechs'] = True
        if 'ca' in command:
            domain = SSLDomain(SSLDomain.MODE_CLIENT)
            domain.set_trusted_ca_db(command['ca'])
            domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
            options['ssl_domain'] = domain
        if 'container' in command:
            self.container.container_id = command['container']
        self.serve = command.get('serve', self.serve)
        self.connections[command['id']] = self.container.connect(url=command['url'], reconnect=False, **options)

    def do_listen(self, command):
        self.container.container_id = command['container']
        self.serve = {'credit': 100, **command.get('serve', {})}
        self.container.listen('127.0.0.1:%d' % command['port'])
        say('listening')

    def name_of(self, link):
        for name, state in self.links.items():
            if state.link == link:
                return name
        return link.name

    def do_sender(self, command):
        connection = self.connections[command['connection']]
        link = self.container.create_sender(connection, command.get('address'), name=command.get('name', command['id']))
        if command.get('settled'):
            link.snd_settle_mode = Link.SND_SETTLED
        self.links[command['id']] = LinkState(link, command)

    def do_receiver(self, command):
        connection = self.connections[command['connection']]
        handler = None
        if command.get('raw'):
            handler = self.readers[command['id']] = Reader(self, command['id'])
        options = [ReceiverSettings(command)]
        link = self.container.create_receiver(
            connection, command.get('address'), name=command.get('name', command['id']),
            dynamic=command.get('dynamic', False), handler=handler, options=options)
        self.links[command['id']] = LinkState(link, command)
        if command.get('credit'):
            link.flow(command['credit'])

    def do_flow(self, command):
        self.links[command['link']].link.flow(command['credit'])

    def do_drain(self, command):
        self.links[command['link']].link.drain(command['credit'])

    def do_send(self, command):
        state = self.links[command['link']]
        for i in range(command.get('count', 1)):
            state.to_send.append((command, i))
        say('queued', link=command['link'], count=len(state.to_send))
        self.send_on(state)

    def send_on(self, state):
        link = state.link
        while state.to_send and link.credit > 0:
            command, i = state.to_send.pop(0)
            fields = dict(command.get('message', {}))
            message = Message(**fields)
            if 'size' in command:
                message.body = pattern(command['size'])
                message.inferred = True
            elif 'body' in command:
                message.body = command['body']
            if command.get('count', 1) > 1:
                message.id = i
            delivery = link.send(message)
            state.sent += 1
            if command.get('settled'):
                delivery.settle()

    def do_settle(self, command):
        state = self.links[command['link']]
        delivery = state.unsettled.pop(command['tag'])
        self.give_outcome(delivery, command)

    def give_outcome(self, delivery, command):
        outcome = command['state']
        if outcome == 'rejected' and 'condition' in command:
            delivery.local.condition = Condition(command['condition'], command.get('description'))
        if outcome == 'modified':
            delivery.local.failed = command.get('failed', False)
            delivery.local.undeliverable = command.get('undeliverable', False)
        delivery.update(OUTCOMES[outcome])
        if command.get('settle', True):
            delivery.settle()

    def do_stream(self, command):
        """Sends a part of a message: `begin` starts one, `end` completes it, `abort` takes it back."""
        state = self.links[command['link']]
        link = state.link
        if command.get('begin'):
            state.streaming = link.delivery('stream-%d' % state.sent)
            state.sent += 1
        if command.get('abort'):
            state.streaming.abort()
            return
        if 'encoded' in command:
            message = Message(body=pattern(command['encoded']), inferred=True)
            state.encoded = message.encode()
            state.at = 0
            say('encoded', link=command['link'], size=len(state.encoded), sha256=hashlib.sha256(state.encoded).hexdigest())
        if 'bytes' in command:
            link.stream(state.encoded[state.at:state.at + command['bytes']])
            state.at += command['bytes']
        if command.get('end'):
            link.stream(state.encoded[state.at:])
            link.advance()

    def do_read(self, command):
        reader = self.readers[command['link']]
        reader.reading = True
        reader.read()

    def do_close_link(self, command):
        state = self.links[command['link']]
        if command.get('detach'):
            state.link.detach()
        else:
            state.link.close()

    def do_frames(self, command):
        transport = self.connections[command['connection']].transport
        say('frames', incoming=transport.frames_input, outgoing=transport.frames_output)

    def do_close(self, command):
        self.connections[command['connection']].close()

    def do_quit(self, command):
        self.injector.close()
        self.container.stop()

    # ---- what happens ----

    def connection_name(self, connection):
        for name, one in self.connections.items():
            if one == connection:
                return name
        return None

    def on_connection_opening(self, event):
        if self.connection_name(event.connection) is None:
            event.connection.container = event.container.container_id

    def on_connection_opened(self, event):
        say('connected', connection=self.connection_name(event.connection), container=event.connection.remote_container,
            idleTimeOut=event.transport.remote_idle_timeout, maxFrameSize=event.transport.remote_max_frame_size)

    def on_connection_closed(self, event):
        say('closed', connection=self.connection_name(event.connection), **condition_of(event.connection))

    def on_connection_error(self, event):
        say('connection-error', connection=self.connection_name(event.connection), **condition_of(event.connection))

    def on_transport_error(self, event):
        condition = event.transport.condition
        say('transport-error', condition=condition and condition.name, description=condition and condition.description)

    def on_disconnected(self, event):
        say('disconnected')

    def on_link_opening(self, event):
        link = event.link
        if link.state & Endpoint.LOCAL_UNINIT == 0:
            return
        name = link.name
        if link.is_sender and link.remote_source.dynamic:
            link.source.address = 'made-up-by-proton'
        else:
            link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        refused = self.serve.get('refuse')
        self.links[name] = LinkState(link, self.serve)
        if refused and refused in (link.remote_source.address, link.remote_target.address):
            self.refused.add(name)
            link.condition = Condition('amqp:not-found', 'no such node')
            link.source.address = None
            return
        if link.is_receiver:
            link.flow(self.serve['credit'])

    def on_link_opened(self, event):
        link = event.link
        if link.name in self.refused:
            link.close()
        say('link-opened', link=self.name_of(link), name=link.name, sender=link.is_sender,
            source=link.remote_source.address, target=link.remote_target.address,
            filters=[str(symbol) for symbol in filters_of(link)], dynamic=link.remote_source.dynamic)

    def on_link_error(self, event):
        say('link-error', link=self.name_of(event.link), **condition_of(event.link))
        event.link.close()

    def on_link_closed(self, event):
        say('link-closed', link=self.name_of(event.link))

    def on_link_remote_detach(self, event):
        say('link-detached', link=self.name_of(event.link), **condition_of(event.link))
        event.link.detach()

    def on_link_flow(self, event):
        link = event.link
        name = self.name_of(link)
        if link.is_sender:
            say('credit', link=name, credit=link.credit, drain=link.drain_mode)
            if link.drain_mode:
                state = self.links.get(name)
                if state is not None:
                    self.send_on(state)
                link.drained()
        elif link.drain_mode and link.credit == 0:
            say('drained', link=name, received=self.links[name].received)
            link.drain_mode = False

    def on_sendable(self, event):
        state = self.links.get(self.name_of(event.link))
        if state is not None:
            self.send_on(state)

    def on_message(self, event):
        name = self.name_of(event.link)
        state = self.links[name]
        state.received += 1
        delivery = event.delivery
        if state.quiet:
            if state.received % 100 == 0:
                say('messages', link=name, received=state.received)
        else:
            say('message', link=name, tag=delivery.tag, settled=delivery.settled, **told(event.message))
        if state.outcome == 'manual':
            state.unsettled[delivery.tag] = delivery
        else:
            self.give_outcome(delivery, {'state': state.outcome})
        if state.replenish:
            event.link.flow(1)

    def on_aborted(self, event):
        say('aborted', link=self.name_of(event.link))

    def on_settled(self, event):
        link, delivery = event.link, event.delivery
        name = self.name_of(link)
        state = self.links.get(name)
        remote = delivery.remote
        if link.is_sender and state is not None and state.quiet:
            state.settled = getattr(state, 'settled', 0) + 1
            if state.settled % 100 == 0:
                say('outcomes', link=name, settled=state.settled)
            return
        condition = remote.condition
        say('settled', link=name, tag=delivery.tag, state=STATE_NAMES.get(delivery.remote_state, str(delivery.remote_state)),
            condition=condition and condition.name, description=condition and condition.description,
            failed=remote.failed, undeliverable=remote.undeliverable)


class ReceiverSettings:
    """Link options in the sense of `proton.reactor.LinkOption`."""

    def __init__(self, command):
        self.command = command

    def test(self, link):
        return link.is_receiver

    def apply(self, link):
        command = self.command
        if 'capacity' in command:
            link.session.incoming_capacity = command['capacity']
        if command.get('second'):
            link.rcv_settle_mode = Link.RCV_SECOND
        if 'selector' in command:
            link.source.filter.put_dict({
                symbol('selector'): Described(symbol('apache.org:selector-filter:string'), command['selector'])})


def filters_of(link):
    data = link.remote_source.filter
    data.rewind()
    if not data.next() or data.type() != Data.MAP:
        return []
    return [str(key) for key in data.get_dict()]


if __name__ == '__main__':
    Container(Peer()).run()
