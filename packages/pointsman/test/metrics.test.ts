// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Router } from '@pointsman/router';
import { renderMetrics } from '../src/http/metrics.js';
import { metricsOf } from '../src/http/router-metrics.js';

/** Of a router that has done nothing. */
const NONE = metricsOf(new Router({ id: 'a', clock: { now: () => 0, after: () => () => undefined }, random: () => 0 }));

describe('the metrics', () => {
  it('have the names of Qpid Dispatch, each with the value of its attribute', () => {
    const text = renderMetrics(
      { ...NONE, deliveriesDelayed10Sec: 7, deliveriesRedirectedToFallback: 3, linksBlocked: 2 ** 40 },
      [],
    );
    assert.match(text, /^# TYPE qdr_deliveries_delayed_10sec_total counter\nqdr_deliveries_delayed_10sec_total 7$/mu);
    assert.match(text, /^qdr_deliveries_redirected_to_fallback_total 3$/mu);
    assert.match(text, /^# TYPE qdr_routers_total gauge\nqdr_routers_total 0$/mu);
    assert.match(text, /^qdr_links_blocked_total 1099511627776$/mu);
    assert.equal(text.match(/^qdr_/gmu)?.length, 22);
  });

  it('say of each connector whether it is connected, whatever it is called', () => {
    const text = renderMetrics(NONE, [
      { name: 'a "b" \\c\nqdr_forged 1', isOpen: true, hasBeenOpen: true, tokens: [] },
      { name: 'd', isOpen: false, hasBeenOpen: true, tokens: [] },
    ]);
    assert.ok(text.includes('\npointsman_connector_open{connector="a \\"b\\" \\\\c\\nqdr_forged 1"} 1\n'), text);
    assert.ok(text.includes('\npointsman_connector_open{connector="d"} 0\n'), text);
  });

  it('say of each autolink whether it is attached, and how often it was lost', () => {
    assert.doesNotMatch(renderMetrics(NONE, []), /autolink/);
    const text = renderMetrics(
      {
        ...NONE,
        autoLinks: [
          { name: 'a', direction: 'in', externalAddress: 'q"', isActive: true, activations: 3, failures: 0 },
          { name: 'b', direction: 'out', externalAddress: 'r', isActive: false, activations: 0, failures: 7 },
        ],
      },
      [],
    );
    assert.deepEqual(
      text.split('\n').filter((line) => line.startsWith('pointsman_autolink')),
      [
        'pointsman_autolink_active{autolink="a",direction="in",entity="q\\""} 1',
        'pointsman_autolink_active{autolink="b",direction="out",entity="r"} 0',
        'pointsman_autolink_attached_total{autolink="a",direction="in",entity="q\\""} 3',
        'pointsman_autolink_attached_total{autolink="b",direction="out",entity="r"} 0',
        'pointsman_autolink_failures{autolink="a",direction="in",entity="q\\""} 0',
        'pointsman_autolink_failures{autolink="b",direction="out",entity="r"} 7',
      ],
    );
  });

  it('say how many outcomes are still to be told to Service Bus, and nothing of other containers', () => {
    const none = { name: 'a', isOpen: true, hasBeenOpen: true, tokens: [] };
    assert.doesNotMatch(renderMetrics(NONE, [none]), /outcomes_waiting/);
    const text = renderMetrics(NONE, [none, { ...none, name: 'b', nodes: [], lateCount: 4 }]);
    assert.deepEqual(text.match(/^pointsman_azure_outcomes_waiting.*$/gmu), [
      'pointsman_azure_outcomes_waiting{connector="b"} 4',
    ]);
  });

  it('have a help text and a type for each name, once, before its values', () => {
    const inbox = { name: 'a', externalAddress: 'q', settledLater: 0, tooLate: 0, inDoubt: 0, locksRenewed: 0 };
    const hub = { sequence: 1, lag: 2, replays: 3, missed: 4 };
    const text = renderMetrics(
      {
        ...NONE,
        autoLinks: [{ name: 'a', direction: 'in', externalAddress: 'q', isActive: true, activations: 1, failures: 0 }],
        inboxes: [{ ...inbox, releaseLoops: 0, hub }],
      },
      [{ name: 'a', isOpen: true, hasBeenOpen: true, tokens: [], nodes: [] }],
    );
    const told = new Map<string, string[]>();
    for (const line of text.trimEnd().split('\n')) {
      const [, comment, name = ''] = /^(?:# (HELP|TYPE) )?([a-z_][a-z0-9_]*)[ {]/u.exec(line) ?? [];
      told.set(name, [...(told.get(name) ?? []), comment ?? 'value']);
    }
    for (const [name, kinds] of told) assert.match(kinds.join(' '), /^HELP TYPE value(?: value)*$/u, name);
    assert.ok(told.size > 40, `${told.size} names`);
  });

  it('say of each token how long it lasts, and nothing where there is none', () => {
    const none = { name: 'a', isOpen: true, hasBeenOpen: true, tokens: [] };
    assert.doesNotMatch(renderMetrics(NONE, [none]), /token/);
    const token = { provider: 'p', kind: 'sas', putAtMs: 1, lastError: undefined, links: 1 } as const;
    const text = renderMetrics(NONE, [
      {
        ...none,
        tokens: [
          { ...token, audience: 'sb://h/q', state: 'valid', expiresAtMs: 1_893_456_000_000, renewals: 2, failures: 0 },
          { ...token, audience: 'sb://h/r', state: 'failed', expiresAtMs: undefined, renewals: 0, failures: 3 },
        ],
      },
    ]);
    const lines = text.split('\n').filter((line) => line.startsWith('pointsman_azure_token'));
    assert.deepEqual(
      lines.map((line) => line.replace('pointsman_azure_token_', '').replace('{connector="a",audience="sb://h/', '{')),
      [
        'valid{q"} 1',
        'valid{r"} 0',
        'expiry_timestamp_seconds{q"} 1893456000',
        'renewals_total{q"} 2',
        'renewals_total{r"} 0',
        'failures_total{q"} 0',
        'failures_total{r"} 3',
      ],
    );
  });

  it('say of each node of Service Bus that clients share how much there is to do', () => {
    const none = { name: 'a', isOpen: true, hasBeenOpen: true, tokens: [] };
    assert.doesNotMatch(renderMetrics(NONE, [none, { ...none, nodes: [] }]), /azure_node/);
    const node = {
      address: 'q/$management',
      state: 'attached',
      clients: 1,
      waiting: 2,
      underWay: 3,
      requests: 4,
      refused: 5,
      failures: 6,
      lastError: 'not for a label',
    } as const;
    const text = renderMetrics(NONE, [{ ...none, nodes: [node, { ...node, address: 'r', state: 'resting' }] }]);
    const lines = text.split('\n').filter((line) => line.startsWith('pointsman_azure_node'));
    const own = lines.filter((line) => line.includes('{connector="a",node="q/$management"}'));
    assert.deepEqual(
      own.map((line) => line.replace('pointsman_azure_node_', '').replace(/\{.*\}/, '')),
      [
        'attached 1',
        'clients 1',
        'requests_waiting 2',
        'requests_under_way 3',
        'requests_total 4',
        'requests_refused_total 5',
        'failures_total 6',
      ],
    );
    assert.ok(lines.includes('pointsman_azure_node_attached{connector="a",node="r"} 0'));
    assert.equal(lines.length, 2 * own.length);
  });
});
