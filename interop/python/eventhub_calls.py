# SPDX-License-Identifier: Apache-2.0
"""Calls of azure-eventhub, Microsoft's client for Python. ROWS_WAY: {connectionString, options}"""
import datetime
import threading

import azure.eventhub
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, TransportType
from azure.eventhub.amqp import AmqpAnnotatedMessage
from azure.eventhub.exceptions import ConnectError, EventDataSendError, EventHubError

from rows import WAY, ask, equal, main, raises, row, say


def options(**more):
    given = {'retry_total': 0, **WAY.get('options', {}), **more}
    if given.pop('webSocket', False):
        given['transport_type'] = TransportType.AmqpOverWebsocket
    elif 'custom_endpoint_address' in given:
        given['transport_type'] = TransportType.Amqp
    return given


def producer(hub, **more):
    return EventHubProducerClient.from_connection_string(WAY['connectionString'], eventhub_name=hub, **options(**more))


def consumer(hub, group='$Default', **more):
    return EventHubConsumerClient.from_connection_string(
        WAY['connectionString'], group, eventhub_name=hub, **options(**more))


def read(hub, count, partition=None, position='-1', group='$Default', **more):
    """So many events, in the order in which they came; and what went wrong."""
    events, errors, enough = [], [], threading.Event()

    def on_event(context, event):
        if event is not None:
            events.append(event)
        if len(events) >= count:
            enough.set()

    def on_error(context, error):
        errors.append(error)
        enough.set()
    client = consumer(hub, group)
    thread = threading.Thread(target=client.receive, daemon=True, kwargs={
        'on_event': on_event, 'on_error': on_error, 'partition_id': partition, 'starting_position': position,
        'max_wait_time': 1, **more})
    thread.start()
    arrived = enough.wait(20)
    client.close()
    thread.join(20)
    if errors:
        raise errors[0]
    if not arrived:
        raise AssertionError('%d of %d events came' % (len(events), count))
    return events


def texts(events):
    return [event.body_as_str() for event in events]


@row
def send():
    """EventHubProducerClient: send_batch and send_event, to a partition; read in order, with numbers and properties"""
    hub = ask('hub')
    with producer(hub) as client:
        batch = client.create_batch(partition_id='1')
        event = EventData('a')
        event.properties = {'color': 'red', 'number': 5}
        event.message_id, event.correlation_id, event.content_type = 'm', 'c', 'text/plain'
        batch.add(event)
        batch.add(EventData(b'b'))
        client.send_batch(batch)
        client.send_batch([EventData('c'), EventData('d')], partition_id='1')
        client.send_event(EventData('e'), partition_id='1')
    events = read(hub, 5, '1')
    equal(texts(events), ['a', 'b', 'c', 'd', 'e'])
    equal([event.sequence_number for event in events], [0, 1, 2, 3, 4])
    equal({(k.decode() if isinstance(k, bytes) else k): (v.decode() if isinstance(v, bytes) else v)
           for k, v in events[0].properties.items()}, {'color': 'red', 'number': 5})
    equal((events[0].message_id, events[0].correlation_id, events[0].content_type), ('m', 'c', 'text/plain'))
    now = datetime.datetime.now(datetime.timezone.utc)
    equal(abs((now - events[0].enqueued_time).total_seconds()) < 60, True)
    equal(texts(read(hub, 3, '1', events[1].offset)), ['c', 'd', 'e'])
    equal(texts(read(hub, 1, '1', events[3].sequence_number)), ['e'])
    equal(texts(read(hub, 2, '1', events[3].sequence_number, starting_position_inclusive=True)), ['d', 'e'])
    equal(len(read(hub, 5, '1', events[0].enqueued_time - datetime.timedelta(minutes=1), group='others')), 5)


@row
def keys():
    """send_batch with a partition_key: to one partition; reading of all partitions"""
    hub = ask('hub')
    with producer(hub) as client:
        for number in range(4):
            client.send_batch([EventData('k%d' % number)], partition_key='key')
        for number in range(4):
            client.send_batch([EventData('n%d' % number)])
    events = read(hub, 8)
    equal(sorted(texts(events)), ['k0', 'k1', 'k2', 'k3', 'n0', 'n1', 'n2', 'n3'])
    equal({event.partition_key for event in events if event.body_as_str()[0] == 'k'}, {b'key'})


@row
def annotated():
    """AmqpAnnotatedMessage as an event: value and sequence bodies, annotations, delivery annotations"""
    hub = ask('hub')
    with producer(hub) as client:
        client.send_batch([
            AmqpAnnotatedMessage(value_body=b'value', annotations={b'own': b'x'}, delivery_annotations={b'd': b'e'}),
            AmqpAnnotatedMessage(sequence_body=[[1, 2], [3]])], partition_id='0')
    value, sequence = read(hub, 2, '0')
    equal(value.raw_amqp_message.body, b'value')
    equal(value.raw_amqp_message.annotations[b'own'], b'x')
    equal(value.raw_amqp_message.delivery_annotations[b'd'], b'e')
    equal([list(part) for part in sequence.raw_amqp_message.body], [[1, 2], [3]])


@row
def properties():
    """get_eventhub_properties, get_partition_ids, get_partition_properties"""
    hub = ask('hub')
    with producer(hub) as client:
        equal(client.get_eventhub_properties()['partition_ids'], ['0', '1'])
        equal(client.get_partition_properties('0')['is_empty'], True)
        client.send_batch([EventData('a'), EventData('b')], partition_id='0')
    with consumer(hub) as client:
        equal(client.get_partition_ids(), ['0', '1'])
        got = client.get_partition_properties('0')
        equal((got['beginning_sequence_number'], got['last_enqueued_sequence_number'], got['is_empty']), (0, 1, False))


@row
def tracked():
    """receive with track_last_enqueued_event_properties"""
    hub = ask('hub')
    with producer(hub) as client:
        client.send_batch([EventData('a')], partition_id='0')
    seen = []
    enough = threading.Event()

    def on_event(context, event):
        if event is not None:
            seen.append(context.last_enqueued_event_properties)
            enough.set()
    client = consumer(hub)
    threading.Thread(target=client.receive, daemon=True, kwargs={
        'on_event': on_event, 'partition_id': '0', 'starting_position': '-1',
        'track_last_enqueued_event_properties': True}).start()
    equal(enough.wait(20), True)
    client.close()
    equal(seen[0]['sequence_number'], 0)


@row
def buffered():
    """EventHubProducerClient in buffered mode"""
    hub = ask('hub')
    sent, failed = [], []
    client = producer(hub, buffered_mode=True, on_success=lambda events, partition: sent.extend(events),
                      on_error=lambda events, partition, error: failed.append(error), max_wait_time=1)
    with client:
        for number in range(20):
            client.send_event(EventData(str(number)))
        client.flush()
    equal((len(sent), failed), (20, []))
    equal(sorted(map(int, texts(read(hub, 20)))), list(range(20)))


@row
def missing():
    """a hub or a partition that is not there; an event beyond the limit"""
    hub = ask('hub')
    with producer(hub + '-missing') as client:
        raises(EventHubError, client.send_batch, [EventData('a')])
    with producer(hub) as client:
        raises(EventHubError, client.send_batch, [EventData('a')], partition_id='9')
    with producer(hub) as client:
        raises((EventDataSendError, ValueError), client.send_batch, [EventData('a' * 1_100_000)])


@row
def owner():
    """receive with an owner_level: the higher displaces the lower"""
    hub = ask('hub')
    errors, displaced, reading = [], threading.Event(), threading.Event()

    def on_error(context, error):
        errors.append(error)
        displaced.set()
    with producer(hub) as client:
        client.send_batch([EventData('a')], partition_id='0')
    first, second = consumer(hub), consumer(hub)
    threading.Thread(target=first.receive, daemon=True, kwargs={
        'on_event': lambda context, event: reading.set(), 'on_error': on_error, 'partition_id': '0',
        'owner_level': 1, 'starting_position': '-1'}).start()
    equal(reading.wait(20), True)
    threading.Thread(target=second.receive, daemon=True, kwargs={
        'on_event': lambda context, event: None, 'partition_id': '0', 'owner_level': 2, 'starting_position': '-1'}).start()
    equal(displaced.wait(20), True)
    first.close()
    second.close()
    equal(isinstance(errors[0], (ConnectError, EventHubError)), True)


if __name__ == '__main__':
    say('version', version=azure.eventhub.__version__)
    main()
