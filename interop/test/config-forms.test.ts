// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { RheaClient, SmallBroker } from '@pointsman/interop';
import { makeDevelopmentCertificates } from '@pointsman/transport';
import { startRouter, temporaryFolder } from '@pointsman/testing';
import type { ConfigFormat } from 'pointsman';

/** What a form has to fill in: where the broker is, and files. */
interface Place {
  readonly port: number;
  readonly folder: string;
}

interface Form {
  readonly name: string;
  readonly format: ConfigFormat;
  /** The broker wants TLS and this password. */
  readonly password?: string;
  readonly text: (place: Place) => string;
}

const PASSWORD = 'Sx+/a key=with#all//sorts';

/** One router each: what clients send to `orders` goes to the broker's queue `orders.q`, and comes back from there. */
const FORMS: readonly Form[] = [
  {
    name: 'the way an article joins a router to a cloud broker: TLS, PLAIN, old names of attributes',
    format: 'conf',
    password: PASSWORD,
    text: ({ port, folder }) => `
router {
    mode: standalone
    id: Router.A
    workerThreads: 4
}

sslProfile {
    name: azure-ssl-profile
    certDb: ${folder}/ca.pem       // the authority
}

listener {
    host: 127.0.0.1
    port: 0
    authenticatePeer: no
    saslMechanisms: ANONYMOUS
}

connector {
    name: broker                     // the name that autolinks refer to
    role: route-container
    host: localhost
    port: ${port}
    sslProfile: azure-ssl-profile
    verifyHostName: yes
    idleTimeoutSeconds: 120
    saslMechanisms: PLAIN
    saslUsername: "RootManageSharedAccessKey"
    saslPassword: "${PASSWORD}"
}

address {
    prefix: orders
    waypoint: yes
}

autoLink {
    addr: orders
    externalAddr: orders.q
    connection: broker
    dir: out
}

autoLink {
    addr: orders
    externalAddr: orders.q
    connection: broker
    dir: in
}
`,
  },
  {
    name: 'the same on short lines, with section names as they are written now, and the password in a file',
    format: 'conf',
    password: PASSWORD,
    text: ({ port, folder }) => `
# A comment of its own line
router { mode: standalone }
sslProfile { name: tls  caCertFile: '${folder}/ca.pem' }
listener { host: 127.0.0.1  port: 0 }   # a comment behind a section
connector {
    name: broker
    role: "route-container"
    host: 'localhost'
    port: ${port}
    sslProfile: tls
    saslMechanisms: PLAIN
    saslUsername: me@here
    saslPassword: file:${folder}/password
}
address { pattern: orders/#  ingressPhase: 0  egressPhase: 1 }
autoLink { address: orders  direction: out  phase: 0  connection: broker  externalAddress: orders.q }
autoLink { address: orders  direction: in   phase: 1  connection: broker  externalAddress: orders.q }
`,
  },
  {
    name: 'by the name of the container instead of the connection, without phases, and with log sections',
    format: 'conf',
    text: ({ port }) => `
router {
    mode: standalone
    id: qdr
    helloInterval: 2
}
log { module: DEFAULT  enable: info+  timestamp: yes }
log { module: ROUTER_CORE  enable: trace+ }
listener { host: 127.0.0.1 port: 0 role: normal saslMechanisms: ANONYMOUS }
connector { host: 127.0.0.1 port: ${port} role: route-container saslMechanisms: ANONYMOUS }
address { prefix: orders distribution: balanced }
autoLink { address: orders containerId: broker dir: out externalAddress: orders.q }
autoLink { address: returned containerId: broker dir: in phase: 0 externalAddress: orders.q }
`,
  },
  {
    name: 'as link routes, by prefix and by pattern',
    format: 'conf',
    text: ({ port }) => `
router { mode: standalone id: qdr }
listener { host: 127.0.0.1 port: 0 }
connector { name: broker host: 127.0.0.1 port: ${port} role: route-container }
linkRoute { prefix: orders dir: in connection: broker addExternalPrefix: q. }
linkRoute { pattern: orders/# direction: out connection: broker addExternalPrefix: q. }
`,
  },
  {
    name: 'in YAML',
    format: 'yaml',
    text: ({ port }) => `
router: { mode: standalone, id: Router.A }
listener:
  - { host: 127.0.0.1, port: 0, saslMechanisms: ANONYMOUS }
connector:
  - name: broker
    role: route-container
    host: 127.0.0.1
    port: ${port}
address:
  - prefix: orders
    waypoint: yes
autoLink:
  - { address: orders, direction: out, connection: broker, externalAddress: orders.q }
  - { address: orders, dir: in, connection: broker, externalAddr: orders.q }
`,
  },
  {
    name: 'in JSON, as a list of pairs',
    format: 'json',
    text: ({ port }) =>
      JSON.stringify([
        ['router', { mode: 'standalone', id: 'Router.A' }],
        ['listener', { host: '127.0.0.1', port: 0, saslMechanisms: 'ANONYMOUS' }],
        ['connector', { name: 'broker', role: 'route-container', host: '127.0.0.1', port: String(port) }],
        ['address', { prefix: 'orders', waypoint: 'yes' }],
        ['autoLink', { address: 'orders', direction: 'out', connection: 'broker', externalAddress: 'orders.q' }],
        ['autoLink', { address: 'orders', direction: 'in', connection: 'broker', externalAddress: 'orders.q' }],
      ]),
  },
  {
    name: 'in JSON, as a map of sections',
    format: 'json',
    text: ({ port }) =>
      JSON.stringify({
        router: { mode: 'standalone', id: 'Router.A' },
        listener: [{ host: '127.0.0.1', port: 0 }],
        connector: [{ name: 'broker', role: 'route-container', host: '127.0.0.1', port }],
        address: [{ prefix: 'orders', waypoint: true }],
        autoLink: ['out', 'in'].map((direction) => ({
          address: 'orders',
          direction,
          connection: 'broker',
          externalAddress: 'orders.q',
        })),
      }),
  },
];

describe('configurations as people write them', () => {
  for (const { name, format, password, text } of FORMS) {
    it(`carry messages to a queue and back: ${name}`, async (t) => {
      const folder = await temporaryFolder(t);
      const certificates = makeDevelopmentCertificates();
      await writeFile(join(folder, 'ca.pem'), certificates.caCert);
      await writeFile(join(folder, 'password'), `${PASSWORD}\n`);
      const security = { cert: certificates.cert, key: certificates.key };
      const broker = await SmallBroker.listen(t, 'broker', password, password === undefined ? undefined : security);
      const router = await startRouter(t, text({ port: broker.port, folder }), { format });
      await router.autoLinksActive();
      await router.linkRoutesActive();
      if (password !== undefined) assert.equal(broker.users.length, 1);

      const client = await RheaClient.connect(t, router.port());
      const sender = await client.sender('orders');
      const outcomes = await sender.sendAll(Array.from({ length: 20 }, (_, i) => ({ body: i })));
      assert.ok(outcomes.every(({ outcome }) => outcome === 'accepted'));
      const [queue, back] = name.startsWith('as link')
        ? ['q.orders', 'orders']
        : ['orders.q', name.startsWith('by the name') ? 'returned' : 'orders'];
      assert.equal(broker.waiting(queue!).length, 20, 'the messages are in the queue, not in the router');
      const receiver = await client.receiver(back!);
      await receiver.received(20);
      assert.deepEqual(
        receiver.bodies,
        Array.from({ length: 20 }, (_, i) => i),
      );
    });
  }
});
