// SPDX-License-Identifier: Apache-2.0
import { TransportError, dial } from '@pointsman/transport';
import type { ByteStream, StreamInfo } from '@pointsman/transport';
import type { Finding } from './finding.js';
import { proxyOf } from './network.js';
import type { Way } from './network.js';
import type { Patient } from './patient.js';

/** A certificate that ends sooner is worth a word. */
const SOON_DAYS = 14;
const DAY_MS = 86_400_000;

/** Goes all the way to a stream that AMQP can be spoken on: TLS, and the WebSocket where that is the way. */
export async function examineTls(
  patient: Patient,
  way: Way,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<{ readonly finding: Finding; readonly stream: ByteStream | undefined }> {
  const { to, credentials, lookup, connector } = patient;
  const subject = to.hostname;
  const started = performance.now();
  try {
    const stream = await dial({
      host: to.host,
      port: way.port,
      mode: way.mode,
      servername: to.hostname,
      verifyHostname: to.verifyHostname,
      credentials,
      lookup,
      proxy: proxyOf(patient),
      timeoutMs,
    });
    return { finding: { ...described(stream.info, subject), ms: performance.now() - started }, stream };
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    const { message, hint, kind } = error;
    const isForeign = kind === 'tls-unknown-issuer' && patient.isServiceBus;
    const cure = isForeign
      ? `${hint} Service Bus itself is trusted by the authorities of the system: a proxy here may look into TLS. ${connector.sslProfile === undefined ? `Connector ${connector.name} has no sslProfile yet: add one and name it there.` : ''}`
      : hint;
    const finding: Finding = {
      step: kind.startsWith('websocket') ? 'network' : 'tls',
      verdict: 'bad',
      subject,
      text: `${message} ${cure}`.trimEnd(),
      ms: performance.now() - started,
    };
    return { finding, stream: undefined };
  }
}

function described(info: StreamInfo, subject: string): Finding {
  const carried = info.websocket ? `, AMQP in a WebSocket (${info.websocketProtocol ?? ''})` : '';
  if (!info.encrypted) {
    const text = `No TLS: everything goes in clear${carried}. Good for a development emulator, and nothing else`;
    return { step: 'tls', verdict: 'warning', subject, text };
  }
  const { tlsProtocol = '', tlsCipher = '', peerCertificate } = info;
  const names = peerCertificate?.names ?? [];
  const until = peerCertificate?.validTo;
  const days = until === undefined ? undefined : Math.floor((until.getTime() - Date.now()) / DAY_MS);
  const issuer = peerCertificate?.issuer['CN'] ?? peerCertificate?.issuer['O'] ?? 'somebody without a name';
  const date = until?.toISOString().slice(0, 10) ?? 'an unknown day';
  const isSoon = days !== undefined && days < SOON_DAYS;
  const text =
    `${tlsProtocol}, ${tlsCipher}${carried}. The certificate is for ${names.join(', ') || 'no name'}, ` +
    `issued by ${issuer}, valid until ${date}${isSoon ? `: ${days} days are left, its owner has to renew it` : ''}`;
  return {
    step: 'tls',
    verdict: isSoon ? 'warning' : 'good',
    subject,
    text,
    details: { protocol: tlsProtocol, cipher: tlsCipher, names, issuer, validUntil: until?.toISOString() ?? '' },
  };
}
