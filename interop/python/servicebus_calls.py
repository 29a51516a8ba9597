# SPDX-License-Identifier: Apache-2.0
"""Calls of azure-servicebus, Microsoft's client for Python. ROWS_WAY: {connectionString, host?, key?, options}"""
import datetime
import time
import uuid

import azure.servicebus
from azure.core.credentials import AzureNamedKeyCredential
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION, AutoLockRenewer, ServiceBusClient, ServiceBusMessage, ServiceBusMessageBatch,
    ServiceBusReceiveMode, ServiceBusSubQueue, TransportType)
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType, AmqpMessageHeader, AmqpMessageProperties
from azure.servicebus.exceptions import (
    MessageAlreadySettled, MessageLockLostError, MessageNotFoundError, MessageSizeExceededError,
    MessagingEntityDisabledError, MessagingEntityNotFoundError, OperationTimeoutError, ServiceBusAuthenticationError,
    ServiceBusAuthorizationError, ServiceBusConnectionError, ServiceBusError, ServiceBusQuotaExceededError, ServiceBusServerBusyError,
    SessionCannotBeLockedError, SessionLockLostError)

from rows import WAY, ask, counted, equal, fault, main, queue, raises, row, say, topic

DELETE = ServiceBusReceiveMode.RECEIVE_AND_DELETE
UTC = datetime.timezone.utc
#: What a refused token is; where there is a custom endpoint the client takes the connection for the cause.
NOT_LET_IN = (ServiceBusAuthenticationError, ServiceBusAuthorizationError, ServiceBusConnectionError)


def client(**options):
    given = {'retry_total': 0, 'timeout': 20, **WAY.get('options', {}), **options}
    if given.pop('webSocket', False):
        given['transport_type'] = TransportType.AmqpOverWebsocket
    elif 'custom_endpoint_address' in given:
        given['transport_type'] = TransportType.Amqp
    return ServiceBusClient.from_connection_string(WAY['connectionString'], **given)


def take(receiver, count, seconds=15):
    """Exactly that many messages, in as many calls as it takes."""
    all_of_them = []
    end = time.monotonic() + seconds
    while len(all_of_them) < count:
        if time.monotonic() > end:
            raise AssertionError('%d of %d messages came' % (len(all_of_them), count))
        all_of_them += receiver.receive_messages(count - len(all_of_them), max_wait_time=2)
    return all_of_them


def texts(messages):
    return [str(message) for message in messages]


def fill(own, name, *bodies, **properties):
    with own.get_queue_sender(name) as sender:
        for body in bodies:
            sender.send_messages(ServiceBusMessage(body, **properties))


@row
def send():
    """send_messages: one, a list, a batch; they come in order and are completed"""
    name = queue()
    with client() as own, own.get_queue_sender(name) as sender, own.get_queue_receiver(name) as receiver:
        sender.send_messages(ServiceBusMessage('one'))
        sender.send_messages([ServiceBusMessage('two'), ServiceBusMessage(b'three')])
        batch = sender.create_message_batch()
        batch.add_message(ServiceBusMessage('four'))
        batch.add_message(ServiceBusMessage('five'))
        sender.send_messages(batch)
        messages = take(receiver, 5)
        equal(texts(messages), ['one', 'two', 'three', 'four', 'five'])
        for message in messages:
            receiver.complete_message(message)
        counted(name, '0 0 0 0 0')
        raises(MessageAlreadySettled, receiver.complete_message, messages[0])


@row
def properties():
    """ServiceBusMessage: with all of its properties"""
    name = queue()
    sent = ServiceBusMessage(
        'body', message_id='id', correlation_id='correlation', content_type='text/plain', subject='subject', to='to',
        reply_to='reply-to', reply_to_session_id='session', partition_key='key',
        time_to_live=datetime.timedelta(seconds=90),
        application_properties={
            'text': 'a', 'whole': 7, 'large': 1 << 30, 'float': 1.5, 'yes': True, 'none': None,
            'id': uuid.UUID(int=5), 'negative': -3})
    with client() as own, own.get_queue_sender(name) as sender, own.get_queue_receiver(name) as receiver:
        sender.send_messages(sent)
        got = take(receiver, 1)[0]
        equal((got.message_id, got.correlation_id, got.content_type, got.subject, got.to, got.reply_to),
              ('id', 'correlation', 'text/plain', 'subject', 'to', 'reply-to'))
        equal((got.reply_to_session_id, got.partition_key, got.time_to_live), ('session', 'key', sent.time_to_live))
        application = {(k.decode() if isinstance(k, bytes) else k): v for k, v in got.application_properties.items()}
        equal(application[b'text'] if b'text' in application else application['text'] in ('a', b'a'), True)
        equal({k: application[k] for k in ('whole', 'large', 'float', 'yes', 'none', 'id', 'negative')},
              {'whole': 7, 'large': 1 << 30, 'float': 1.5, 'yes': True, 'none': None,
               'id': uuid.UUID(int=5), 'negative': -3})
        equal((got.delivery_count, got.sequence_number, got.enqueued_sequence_number), (0, 1, 1))
        equal(abs((got.enqueued_time_utc - datetime.datetime.now(UTC)).total_seconds()) < 60, True)
        equal(50 < (got.locked_until_utc - datetime.datetime.now(UTC)).total_seconds() < 61, True)
        equal((got.expires_at_utc - got.enqueued_time_utc).total_seconds(), 90)
        equal(type(got.lock_token), uuid.UUID)
        receiver.complete_message(got)


@row
def uuid_ids():
    """AmqpAnnotatedMessage: ids that are uuids and numbers keep their kinds"""
    name = queue()
    with client() as own, own.get_queue_sender(name) as sender, own.get_queue_receiver(name) as receiver:
        for number, kind in enumerate((uuid.UUID(int=9), b'\x01\x02', 'text')):
            sender.send_messages(AmqpAnnotatedMessage(
                data_body=b'%d' % number,
                properties=AmqpMessageProperties(message_id=kind, correlation_id=kind)))
        ids = [message.raw_amqp_message.properties.message_id for message in take(receiver, 3)]
        equal([one.encode() if isinstance(one, str) else one for one in ids], [uuid.UUID(int=9), b'\x01\x02', b'text'])


@row
def annotated():
    """AmqpAnnotatedMessage: value, sequence and data bodies, header, annotations, footer"""
    name = queue()
    with client() as own, own.get_queue_sender(name) as sender, own.get_queue_receiver(name) as receiver:
        sender.send_messages(AmqpAnnotatedMessage(
            value_body={b'a': [1, 2.5, None, True], b'b': b'bytes'}, annotations={'x-own': 'here'}, footer={b'f': b'g'},
            delivery_annotations={b'd': b'e'}, header=AmqpMessageHeader(priority=5, durable=True),
            application_properties={b'k': b'v'}))
        sender.send_messages(AmqpAnnotatedMessage(sequence_body=[[1, 2], [b'three', None]]))
        sender.send_messages([AmqpAnnotatedMessage(data_body=[b'one', b'two']), AmqpAnnotatedMessage(value_body=None)])
        value, sequence, data, nothing = take(receiver, 4)
        equal((value.body_type, dict(value.body)), (AmqpMessageBodyType.VALUE, {b'a': [1, 2.5, None, True], b'b': b'bytes'}))
        raw = value.raw_amqp_message
        equal((raw.header.priority, bool(raw.header.durable)), (5, True))
        equal(raw.annotations[b'x-own'], b'here')
        equal(raw.footer, {b'f': b'g'})
        equal((sequence.body_type, [list(part) for part in sequence.body]),
              (AmqpMessageBodyType.SEQUENCE, [[1, 2], [b'three', None]]))
        equal((data.body_type, b'|'.join(data.body)), (AmqpMessageBodyType.DATA, b'one|two'))
        equal(nothing.body, None)
        for message in (value, sequence, data, nothing):
            receiver.complete_message(message)
        counted(name, '0 0 0 0 0')


@row
def send_again():
    """send_messages: what was received goes on as it is"""
    name, further = queue(), queue()
    with client() as own:
        fill(own, name, 'body', message_id='m', application_properties={'p': 1})
        with own.get_queue_receiver(name) as receiver, own.get_queue_sender(further) as sender:
            message = take(receiver, 1)[0]
            sender.send_messages(message)
            receiver.complete_message(message)
        with own.get_queue_receiver(further) as receiver:
            message = take(receiver, 1)[0]
            equal((str(message), message.message_id, message.application_properties), ('body', 'm', {b'p': 1}))
            receiver.complete_message(message)


@row
def settle():
    """abandon_message, defer_message, dead_letter_message, receive_deferred_messages, the dead-letter queue"""
    name = queue()
    with client() as own, own.get_queue_receiver(name) as receiver:
        fill(own, name, 'one', 'two', 'three')
        one, two, three = take(receiver, 3)
        receiver.abandon_message(one)
        receiver.defer_message(two)
        receiver.dead_letter_message(three, reason='reason', error_description='description')
        counted(name, '1 0 1 0 1')
        again = take(receiver, 1)[0]
        equal((str(again), again.delivery_count), ('one', 1))
        receiver.dead_letter_message(again)
        deferred = receiver.receive_deferred_messages([two.sequence_number])
        equal(texts(deferred), ['two'])
        receiver.renew_message_lock(deferred[0])
        receiver.complete_message(deferred[0])
        raises(ServiceBusError, receiver.receive_deferred_messages, [two.sequence_number])
        with own.get_queue_receiver(name, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            first, second = take(dead, 2)
            equal((str(first), first.dead_letter_reason, first.dead_letter_error_description),
                  ('three', 'reason', 'description'))
            equal((str(second), second.dead_letter_reason), ('one', None))
            dead.complete_message(first)
            dead.abandon_message(second)
            dead.complete_message(take(dead, 1)[0])
        counted(name, '0 0 0 0 0')


@row
def settle_deferred():
    """receive_deferred_messages: settled in all ways on $management, and in receive-and-delete mode"""
    name = queue()
    with client() as own, own.get_queue_receiver(name) as receiver:
        fill(own, name, *'abcde')
        messages = take(receiver, 5)
        for message in messages:
            receiver.defer_message(message)
        numbers = [message.sequence_number for message in messages]
        a, b, c, d = receiver.receive_deferred_messages(numbers[:4])
        receiver.complete_message(a)
        receiver.abandon_message(b)
        receiver.defer_message(c)
        receiver.dead_letter_message(d, reason='why', error_description='more')
        counted(name, '0 0 3 0 1')
        with own.get_queue_receiver(name, receive_mode=DELETE) as deleting:
            equal(sorted(texts(deleting.receive_deferred_messages([numbers[1], numbers[2], numbers[4]]))), ['b', 'c', 'e'])
        counted(name, '0 0 0 0 1')
        with own.get_queue_receiver(name, sub_queue='deadletter', receive_mode=DELETE) as dead:
            equal(take(dead, 1)[0].dead_letter_reason, 'why')


@row
def delete_mode():
    """receive_messages in RECEIVE_AND_DELETE mode: gone with the delivery"""
    name = queue()
    with client() as own, own.get_queue_receiver(name, receive_mode=DELETE) as receiver:
        fill(own, name, 'one', 'two')
        messages = take(receiver, 2)
        equal(texts(messages), ['one', 'two'])
        counted(name, '0 0 0 0 0')
        raises(ValueError, receiver.complete_message, messages[0])


@row
def empty():
    """receive_messages from an empty queue: nothing, after max_wait_time; what comes later is received"""
    name = queue()
    with client() as own, own.get_queue_receiver(name) as receiver:
        start = time.monotonic()
        equal(receiver.receive_messages(5, max_wait_time=1), [])
        equal(0.9 < time.monotonic() - start < 10, True)
        fill(own, name, 'late')
        message = take(receiver, 1)[0]
        equal(str(message), 'late')
        receiver.complete_message(message)


@row
def iterate():
    """the receiver as an iterator, with prefetch_count and max_wait_time"""
    name = queue()
    with client() as own:
        fill(own, name, *map(str, range(30)))
        with own.get_queue_receiver(name, max_wait_time=2, prefetch_count=10) as receiver:
            seen = []
            for message in receiver:
                seen.append(int(str(message)))
                receiver.complete_message(message)
        equal(seen, list(range(30)))
        counted(name, '0 0 0 0 0')


@row
def prefetch():
    """a receiver with prefetch_count that is closed: what it holds stays locked, or is given back"""
    name = queue()
    with client() as own:
        fill(own, name, *'abcd')
        with own.get_queue_receiver(name, prefetch_count=4) as receiver:
            receiver.complete_message(take(receiver, 1)[0])
        equal(ask('counts', name).split()[0], '3')


@row
def peek():
    """peek_messages: in whatever state, without a lock; where the last one ended, or from a number on"""
    name = queue()
    with client() as own, own.get_queue_receiver(name) as receiver:
        equal(receiver.peek_messages(1), [])
        fill(own, name, *'abcde')
        equal(texts(receiver.peek_messages(2)), ['a', 'b'])
        equal(texts(receiver.peek_messages(10, sequence_number=3)), ['c', 'd', 'e'])
        message = take(receiver, 1)[0]
        receiver.defer_message(message)
        counted(name, '4 0 1 0 0')
        peeked = receiver.peek_messages(1, sequence_number=1)[0]
        equal((str(peeked), getattr(peeked, 'state', 1)), ('a', 1))
        raises(ValueError, receiver.complete_message, peeked)


@row
def schedule():
    """schedule_messages, cancel_scheduled_messages: one and several; scheduled_enqueue_time_utc"""
    name = queue()
    later = datetime.datetime.now(UTC) + datetime.timedelta(hours=1)
    soon = datetime.datetime.now(UTC) + datetime.timedelta(seconds=2)
    with client() as own, own.get_queue_sender(name) as sender, own.get_queue_receiver(name) as receiver:
        numbers = sender.schedule_messages([ServiceBusMessage('a'), ServiceBusMessage('b')], later)
        numbers += sender.schedule_messages(ServiceBusMessage('c'), later)
        equal(len(set(numbers)), 3)
        counted(name, '0 0 0 3 0')
        equal(texts(receiver.peek_messages(5)), ['a', 'b', 'c'])
        sender.cancel_scheduled_messages(numbers[0])
        sender.cancel_scheduled_messages(numbers[1:])
        counted(name, '0 0 0 0 0')
        raises(MessageNotFoundError, sender.cancel_scheduled_messages, numbers[0])
        sender.schedule_messages(ServiceBusMessage('soon'), soon)
        sender.send_messages(ServiceBusMessage('by annotation', scheduled_enqueue_time_utc=soon))
        got = take(receiver, 2)
        equal(sorted(texts(got)), ['by annotation', 'soon'])
        for message in got:
            equal(abs((message.scheduled_enqueue_time_utc - soon).total_seconds()) < 0.01, True)
            receiver.complete_message(message)


@row
def session():
    """get_queue_receiver with session_id: its messages alone, in order; state; locks; deferred ones"""
    name = queue(requiresSession=True)
    with client() as own, own.get_queue_sender(name) as sender:
        for number in range(6):
            sender.send_messages(ServiceBusMessage(str(number), session_id='ab'[number % 2]))
        with own.get_queue_receiver(name, session_id='a') as receiver:
            session = receiver.session
            equal(session.session_id, 'a')
            messages = take(receiver, 3)
            equal(texts(messages), ['0', '2', '4'])
            equal(messages[0].session_id, 'a')
            equal(bool(session.get_state()), False)
            session.set_state(b'state')
            equal(session.get_state(), b'state')
            session.set_state('text')
            equal(session.get_state(), b'text')
            before = session.locked_until_utc
            time.sleep(0.05)
            equal(session.renew_lock() > before, True)
            receiver.defer_message(messages[0])
            receiver.abandon_message(messages[2])
            receiver.complete_message(messages[1])
            counted(name, '4 0 1 0 0')
            equal(texts(receiver.peek_messages(5, sequence_number=1)), ['0', '4'])
            deferred = receiver.receive_deferred_messages(messages[0].sequence_number)
            receiver.complete_message(deferred[0])
            receiver.dead_letter_message(take(receiver, 1)[0], reason='r')
            raises(SessionCannotBeLockedError, own.get_queue_receiver(name, session_id='a').__enter__)
        with own.get_queue_receiver(name, session_id='a') as receiver:
            equal(receiver.session.get_state(), b'text')
            receiver.session.set_state(None)
            equal(receiver.session.get_state(), None)
        with own.get_queue_receiver(name, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            message = take(dead, 1)[0]
            equal((message.session_id, message.dead_letter_reason), ('a', 'r'))
            dead.complete_message(message)
        raises(ServiceBusError, own.get_queue_receiver(name).__enter__)


@row
def next_session():
    """NEXT_AVAILABLE_SESSION: the next that is free; where there is none in max_wait_time: OperationTimeoutError"""
    name = queue(requiresSession=True)
    with client() as own:
        error = raises(OperationTimeoutError, own.get_queue_receiver(
            name, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=2).__enter__)
        equal('timeout' in str(error).lower() or 'timed out' in str(error).lower(), True)
        for session in ('a', 'b'):
            fill(own, name, 'of ' + session, session_id=session)
        seen = set()
        with own.get_queue_receiver(name, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5) as one, \
                own.get_queue_receiver(name, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5) as two:
            for receiver in (one, two):
                for message in receiver:
                    equal(str(message), 'of ' + receiver.session.session_id)
                    seen.add(message.session_id)
                    receiver.complete_message(message)
                    break
        equal(seen, {'a', 'b'})
        counted(name, '0 0 0 0 0')


@row
def session_lock():
    """a session whose lock ends: SessionLockLostError, and its messages are free again, counted"""
    name = queue(requiresSession=True, lockDurationMs=2000)
    with client() as own:
        fill(own, name, 'a', session_id='s')
        with own.get_queue_receiver(name, session_id='s') as receiver:
            message = take(receiver, 1)[0]
            time.sleep(2.5)
            raises(SessionLockLostError, receiver.complete_message, message)
            raises(SessionLockLostError, receiver.session.renew_lock)
            raises(SessionLockLostError, receiver.session.get_state)
        with own.get_queue_receiver(name, session_id='s') as receiver:
            message = take(receiver, 1)[0]
            equal(message.delivery_count, 1)
            receiver.complete_message(message)


@row
def renewer():
    """AutoLockRenewer: keeps messages and a session locked"""
    name, with_sessions = queue(lockDurationMs=3000), queue(lockDurationMs=3000, requiresSession=True)
    lost = []

    def on_failure(renewable, error):
        lost.append((error, error.inner_exception))
    with client() as own, AutoLockRenewer(max_lock_renewal_duration=60, on_lock_renew_failure=on_failure) as renewer:
        fill(own, name, 'a')
        fill(own, with_sessions, 'b', session_id='s')
        with own.get_queue_receiver(name, auto_lock_renewer=renewer) as receiver, \
                own.get_queue_receiver(with_sessions, session_id='s', auto_lock_renewer=renewer) as of_session:
            a, b = take(receiver, 1)[0], take(of_session, 1)[0]
            time.sleep(7)
            # Closing the receiver may cut the renewer off.
            equal(lost, [])
            receiver.complete_message(a)
            of_session.complete_message(b)
    counted(name, '0 0 0 0 0')
    counted(with_sessions, '0 0 0 0 0')


@row
def lock_lost():
    """complete_message and renew_message_lock after the lock has ended: MessageLockLostError; counted"""
    name = queue(lockDurationMs=1500, maxDeliveryCount=2)
    with client() as own, own.get_queue_receiver(name) as receiver:
        fill(own, name, 'a')
        message = take(receiver, 1)[0]
        until = receiver.renew_message_lock(message)
        equal(until > datetime.datetime.now(UTC), True)
        time.sleep(2)
        raises(MessageLockLostError, receiver.renew_message_lock, message)
        raises(MessageLockLostError, receiver.complete_message, message)
        equal(take(receiver, 1)[0].delivery_count, 1)
        counted(name, '0 0 0 0 1')


@row
def topics():
    """get_topic_sender, get_subscription_receiver: a copy for the subscription; its dead letters"""
    name = topic()
    with client() as own, own.get_topic_sender(name) as sender, \
            own.get_subscription_receiver(name, 'all') as receiver:
        sender.send_messages([ServiceBusMessage('a'), ServiceBusMessage('b')])
        numbers = sender.schedule_messages(ServiceBusMessage('c'), datetime.datetime.now(UTC) + datetime.timedelta(1))
        sender.cancel_scheduled_messages(numbers)
        a, b = take(receiver, 2)
        equal(texts([a, b]), ['a', 'b'])
        receiver.complete_message(a)
        receiver.dead_letter_message(b, 'why')
        equal(receiver.peek_messages(1), [])
        with own.get_subscription_receiver(name, 'all', sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            message = take(dead, 1)[0]
            equal(message.dead_letter_reason, 'why')
            dead.complete_message(message)


@row
def subscription_sessions():
    """get_subscription_receiver with session_id and NEXT_AVAILABLE_SESSION"""
    name = topic(requiresSession=True)
    with client() as own, own.get_topic_sender(name) as sender:
        sender.send_messages([ServiceBusMessage('a', session_id='s'), ServiceBusMessage('b', session_id='t')])
        with own.get_subscription_receiver(name, 'all', session_id='t') as receiver:
            receiver.complete_message(take(receiver, 1)[0])
        with own.get_subscription_receiver(name, 'all', session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5) as receiver:
            message = take(receiver, 1)[0]
            equal(str(message), 'a')
            receiver.session.set_state(b'done')
            receiver.complete_message(message)


@row
def too_large():
    """a message beyond the limit: MessageSizeExceededError; a batch is bounded by the link"""
    name = queue()
    with client() as own, own.get_queue_sender(name) as sender, own.get_queue_receiver(name, receive_mode=DELETE) as receiver:
        raises(MessageSizeExceededError, sender.send_messages, ServiceBusMessage('x' * 300_000))
        batch = sender.create_message_batch()
        equal(batch.max_size_in_bytes in (262_144, 1_048_576), True)
        small = sender.create_message_batch(max_size_in_bytes=500)
        small.add_message(ServiceBusMessage('a' * 200))
        raises(MessageSizeExceededError, small.add_message, ServiceBusMessage('a' * 300))
        sender.send_messages(small)
        sender.send_messages(ServiceBusMessage('x' * 200_000))
        equal([len(str(message)) for message in take(receiver, 2)], [200, 200_000])


@row
def full_batch():
    """a ServiceBusMessageBatch that is filled to its end is taken whole"""
    name = queue()
    with client() as own, own.get_queue_sender(name) as sender:
        batch = sender.create_message_batch()
        count = 0
        limit = min(batch.max_size_in_bytes, 262_144)
        try:
            while batch.size_in_bytes < limit - 2_000:
                batch.add_message(ServiceBusMessage('y' * 1000, application_properties={'number': count}))
                count += 1
        except ValueError:
            pass
        sender.send_messages(batch)
        counted(name, '%d 0 0 0 0' % count)


@row
def errors():
    """an entity that is not there: MessagingEntityNotFoundError; a disabled one: MessagingEntityDisabledError"""
    name = queue()
    with client() as own:
        # It is refused a token already: the client has no better name for that.
        missing = (MessagingEntityNotFoundError, *NOT_LET_IN)
        raises(missing, own.get_queue_sender(name + '-missing').__enter__)
        raises(missing, own.get_queue_receiver(name + '-missing').__enter__)
        ask('status', name, 'Disabled')
        raises(MessagingEntityDisabledError, own.get_queue_sender(name).__enter__)
        raises(MessagingEntityDisabledError, own.get_queue_receiver(name).__enter__)


@row
def sessionless():
    """a message without a session id to a queue with sessions is refused, and the sender goes on"""
    name = queue(requiresSession=True)
    with client() as own, own.get_queue_sender(name) as sender:
        raises(ServiceBusError, sender.send_messages, ServiceBusMessage('a'))
        sender.send_messages(ServiceBusMessage('a', session_id='s'))
        counted(name, '1 0 0 0 0')


@row
def quota():
    """a queue that is full: ServiceBusQuotaExceededError"""
    name = queue(maxSizeBytes=1000)
    with client() as own, own.get_queue_sender(name) as sender:
        sender.send_messages(ServiceBusMessage('a' * 900))
        raises(ServiceBusQuotaExceededError, sender.send_messages, ServiceBusMessage('a' * 900))


@row
def busy():
    """while the service throttles: ServiceBusServerBusyError, and through where the client may retry"""
    name = queue()
    with client() as own, own.get_queue_sender(name) as sender:
        fault('refuseSends', 1, name)
        raises(ServiceBusServerBusyError, sender.send_messages, ServiceBusMessage('a'))
    with client(retry_total=3, retry_backoff_factor=0.1) as own, own.get_queue_sender(name) as sender:
        fault('refuseSends', 1, name)
        sender.send_messages(ServiceBusMessage('b'))
    with client(retry_total=3, retry_backoff_factor=0.1) as own, own.get_queue_receiver(name) as receiver:
        fault('refuseRequests', 1, name)
        equal(texts(receiver.peek_messages(2)), ['b'])


@row
def detached():
    """links that the service detaches: the client attaches anew"""
    name = queue()
    with client(retry_total=3, retry_backoff_factor=0.1) as own, own.get_queue_sender(name) as sender, \
            own.get_queue_receiver(name) as receiver:
        sender.send_messages([ServiceBusMessage('a'), ServiceBusMessage('b')])
        receiver.complete_message(take(receiver, 1)[0])
        counted(name, '1 0 0 0 0')
        equal(fault('detachLinks', name) >= 1, True)
        sender.send_messages(ServiceBusMessage('c'))
        messages = take(receiver, 2)
        equal(texts(messages), ['b', 'c'])
        for message in messages:
            receiver.complete_message(message)
        counted(name, '0 0 0 0 0')


@row
def duplicates():
    """a message id that came before: dropped, where the queue detects duplicates"""
    name = queue(requiresDuplicateDetection=True)
    with client() as own:
        fill(own, name, 'a', 'b', message_id='same')
        counted(name, '1 0 0 0 0')


@row
def expiry():
    """time_to_live: what has expired is dead-lettered where the queue says so"""
    name = queue(deadLetterOnExpiration=True)
    with client() as own:
        fill(own, name, 'a', time_to_live=datetime.timedelta(seconds=1))
        counted(name, '0 0 0 0 1')
        with own.get_queue_receiver(name, sub_queue='deadletter') as dead:
            equal(take(dead, 1)[0].dead_letter_reason, 'TTLExpiredException')


@row
def credentials():
    """a client with a host and an AzureNamedKeyCredential; with a wrong key"""
    if 'host' not in WAY:
        return
    name = queue()
    options = {'retry_total': 0, **WAY['options']}
    if options.pop('webSocket', False):
        options['transport_type'] = TransportType.AmqpOverWebsocket
    elif 'custom_endpoint_address' in options:
        options['transport_type'] = TransportType.Amqp
    with ServiceBusClient(WAY['host'], AzureNamedKeyCredential(WAY['policy'], WAY['key']), **options) as own:
        fill(own, name, 'a')
    with ServiceBusClient(WAY['host'], AzureNamedKeyCredential(WAY['policy'], 'wrong'), **options) as own:
        raises(NOT_LET_IN, own.get_queue_sender(name).__enter__)
    counted(name, '1 0 0 0 0')


@row
def many():
    """500 messages, sent one by one and in batches, received with prefetch and settled in threads"""
    name = queue()
    with client() as own, own.get_queue_sender(name) as sender:
        for start in range(0, 450, 50):
            sender.send_messages([ServiceBusMessage(str(number)) for number in range(start, start + 50)])
        for number in range(450, 500):
            sender.send_messages(ServiceBusMessage(str(number)))
        seen = []
        with own.get_queue_receiver(name, prefetch_count=100, max_wait_time=3) as receiver:
            while len(seen) < 500:
                messages = receiver.receive_messages(100, max_wait_time=5)
                if not messages:
                    break
                seen += [int(str(message)) for message in messages]
                for message in messages:
                    receiver.complete_message(message)
        equal(sorted(seen), list(range(500)))
        counted(name, '0 0 0 0 0')


if __name__ == '__main__':
    say('version', version=azure.servicebus.__version__)
    main()
