# SPDX-License-Identifier: Apache-2.0
"""
Rows of calls of a client library, each a function that proves one use of it. Whoever runs the program makes entities and
things that go wrong: the program asks for them in lines of JSON, and reads answers of the same form.
"""
import json
import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

#: The way in: what the program's user gave it.
WAY = json.loads(os.environ.get('ROWS_WAY', '{}'))

_ROWS = []
_lock = threading.Lock()
_waiting = {}
_ids = iter(range(1, 1 << 30))


def row(function):
    """Its documentation is the name of the row."""
    _ROWS.append(function)
    return function


def say(event, **fields):
    with _lock:
        print(json.dumps({'event': event, **fields}, default=str), flush=True)


def ask(what, *arguments):
    """Asks whoever runs the program for something: an entity, a count, a fault."""
    arrived = threading.Event()
    answer = {}
    number = next(_ids)
    _waiting[number] = (arrived, answer)
    say('ask', id=number, what=what, arguments=arguments)
    if not arrived.wait(60):
        raise TimeoutError('no answer to %s' % what)
    if 'error' in answer:
        raise RuntimeError(answer['error'])
    return answer.get('value')


def queue(**options):
    """Makes a queue. Options are those of the namespace. Returns its name."""
    return ask('queue', options)


def topic(**options):
    """Makes a topic with a subscription `all`, which has the options. Returns its name."""
    return ask('topic', options)


def counted(path, expected):
    """`active locked deferred scheduled dead-letter` of a queue or subscription; clients do not wait until they are so."""
    end = time.monotonic() + 20
    while ask('counts', path) != expected:
        if time.monotonic() > end:
            equal(ask('counts', path), expected)
        time.sleep(0.02)


def fault(name, *arguments):
    return ask('fault', name, arguments)


def equal(actual, expected):
    if actual != expected:
        raise AssertionError('%r, not %r' % (actual, expected))


def raises(kind, call, *arguments, **named):
    """The exception of that class that the call ends with."""
    try:
        value = call(*arguments, **named)
    except kind as error:
        return error
    except Exception as error:
        raise AssertionError('%r, not %s' % (error, kind)) from error
    raise AssertionError('%r, not %s' % (value, kind))


def eventually(what, is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError('waited in vain for ' + what)
        time.sleep(0.02)


def _read_answers():
    for line in sys.stdin:
        answer = json.loads(line)
        arrived, into = _waiting.pop(answer['id'])
        into.update(answer)
        arrived.set()


def _run(function):
    name = ' '.join(function.__doc__.split())
    start = time.monotonic()
    try:
        function()
        say('row', name=name, ok=True, seconds=round(time.monotonic() - start, 2))
    except BaseException:
        say('row', name=name, ok=False, error=traceback.format_exc(), seconds=round(time.monotonic() - start, 2))


def main():
    """Runs the rows, those alone whose function is named where arguments name some."""
    threading.Thread(target=_read_answers, daemon=True).start()
    chosen = [function for function in _ROWS if len(sys.argv) < 2 or function.__name__ in sys.argv[1:]]
    with ThreadPoolExecutor(int(WAY.get('concurrency', 6))) as pool:
        list(pool.map(_run, chosen))
    say('end')
    sys.stdout.flush()
    # Threads of the library may live on.
    os._exit(0)
