# SPDX-License-Identifier: Apache-2.0
"""Transactions as users of Proton write them. Usage: transactions.py URL QUEUE; says what happened as lines of JSON.

First: sends a and b, commits. Second: sends c, rolls back. Third: accepts a message, sends d, commits. Fourth: accepts a
message, rolls back.
"""
import json
import sys

from proton import Message
from proton.handlers import MessagingHandler, TransactionHandler
from proton.reactor import Container


def say(event, **fields):
    print(json.dumps({'event': event, **fields}, default=str), flush=True)


class Program(MessagingHandler, TransactionHandler):
    def __init__(self, url, queue):
        super().__init__(auto_accept=False, prefetch=0)
        self.url = url
        self.queue = queue
        self.step = 0
        self.transaction = None
        self.receiver = None

    def on_start(self, event):
        self.container = event.container
        self.connection = self.container.connect(self.url, allow_insecure_mechs=True, allowed_mechs='PLAIN ANONYMOUS', heartbeat=60)
        self.sender = self.container.create_sender(self.connection, self.queue)
        self.declare()

    def declare(self):
        self.step += 1
        self.container.declare_transaction(self.connection, handler=self)

    def on_transaction_declared(self, event):
        self.transaction = event.transaction
        say('declared', step=self.step)
        self.work()

    def work(self):
        if self.step == 1:
            for body in ('a', 'b'):
                self.transaction.send(self.sender, Message(body=body))
            self.transaction.commit()
        elif self.step == 2:
            self.transaction.send(self.sender, Message(body='c'))
            self.transaction.abort()
        elif self.receiver is None:
            self.receiver = self.container.create_receiver(self.connection, self.queue)
            self.receiver.flow(1)
        else:
            self.receiver.flow(1)

    def on_message(self, event):
        say('message', body=event.message.body)
        self.transaction.accept(event.delivery)
        if self.step == 3:
            self.transaction.send(self.sender, Message(body='d'))
            self.transaction.commit()
        else:
            self.transaction.abort()

    def on_transaction_committed(self, event):
        say('committed', step=self.step)
        self.declare()

    def on_transaction_aborted(self, event):
        say('aborted', step=self.step)
        if self.step == 2:
            self.declare()
        else:
            self.connection.close()

    def on_transaction_declare_failed(self, event):
        say('declare-failed', state=str(event.delivery.remote_state))
        self.connection.close()

    def on_transaction_commit_failed(self, event):
        say('commit-failed', condition=str(event.delivery.remote.condition))
        self.connection.close()

    def on_transport_error(self, event):
        say('transport-error', condition=str(event.transport.condition))

    def on_link_error(self, event):
        say('link-error', condition=str(event.link.remote_condition))
        self.connection.close()


Container(Program(*sys.argv[1:])).run()
say('done')
