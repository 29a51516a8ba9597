// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec, ParsedArguments } from './arguments.js';

/** Options about the tool itself, and about the connection, that all tools have. */
export const commonOptions: readonly OptionSpec[] = [
  { flags: ['-h', '--help'], key: 'help', kind: 'flag', help: 'show this text and end' },
  { flags: ['--version'], key: 'version', kind: 'flag', help: 'show the version and end' },
  { flags: ['-v', '--verbose'], key: 'verbose', kind: 'count', help: 'show more; may be repeated' },
];

export const connectionOptions: readonly OptionSpec[] = [
  {
    flags: ['-b', '--bus'],
    key: 'bus',
    kind: 'text',
    metavar: 'URL',
    help: 'router to connect to, [amqp|amqps://][user[:password]@]host[:port] (default 0.0.0.0)',
  },
  {
    flags: ['-t', '--timeout'],
    key: 'timeout',
    kind: 'float',
    metavar: 'SECS',
    help: 'seconds to wait for the connection, and for each answer (default 5)',
  },
  {
    flags: ['--ssl-certificate'],
    key: 'ssl-certificate',
    kind: 'text',
    metavar: 'CERT',
    help: 'file with the certificate to show to the router (PEM)',
  },
  {
    flags: ['--ssl-key'],
    key: 'ssl-key',
    kind: 'text',
    metavar: 'KEY',
    help: 'file with the private key of the certificate (PEM)',
  },
  {
    flags: ['--ssl-trustfile'],
    key: 'ssl-trustfile',
    kind: 'text',
    metavar: 'TRUSTED-CA-DB',
    help: 'file with the certificates of trusted authorities (PEM)',
  },
  {
    flags: ['--ssl-password'],
    key: 'ssl-password',
    kind: 'text',
    metavar: 'PASSWORD',
    help: 'password of the private key; others on this machine can see it',
  },
  {
    flags: ['--ssl-password-file'],
    key: 'ssl-password-file',
    kind: 'text',
    metavar: 'SSL-PASSWORD-FILE',
    help: 'file with the password of the private key',
  },
  {
    flags: ['--sasl-mechanisms'],
    key: 'sasl-mechanisms',
    kind: 'text',
    metavar: 'SASL-MECHANISMS',
    help: 'SASL mechanisms that may be used, with blanks between',
  },
  {
    flags: ['--sasl-username'],
    key: 'sasl-username',
    kind: 'text',
    metavar: 'SASL-USERNAME',
    help: 'user name for SASL PLAIN',
  },
  {
    flags: ['--sasl-password'],
    key: 'sasl-password',
    kind: 'text',
    metavar: 'SASL-PASSWORD',
    help: 'password for SASL PLAIN; others on this machine can see it',
  },
  {
    flags: ['--sasl-password-file'],
    key: 'sasl-password-file',
    kind: 'text',
    metavar: 'SASL-PASSWORD-FILE',
    help: 'file with the password for SASL PLAIN',
  },
  {
    flags: ['--ssl-disable-peer-name-verify'],
    key: 'ssl-disable-peer-name-verify',
    kind: 'flag',
    help: "check the router's certificate, but not that it is for this host",
  },
];

/** Which router is asked. @param group - of the options that exclude each other */
export function targetOptions(group?: string): readonly OptionSpec[] {
  const exclusive = group === undefined ? {} : { group };
  return [
    {
      flags: ['-r', '--router'],
      key: 'router',
      kind: 'text',
      ...exclusive,
      metavar: 'ROUTER-ID',
      help: 'interior router to ask, if not the one connected to',
    },
    {
      flags: ['-d', '--edge-router'],
      key: 'edge-router',
      kind: 'text',
      ...exclusive,
      metavar: 'EDGE-ROUTER-ID',
      help: 'edge router to ask',
    },
  ];
}

/** Address of the management node that the options mean. @param path - of the URL */
export function managementAddress(args: ParsedArguments, path: string | undefined): string {
  if (path !== undefined) return path;
  const router = args.text('router');
  if (router !== undefined) return `_topo/0/${router}/$management`;
  const edge = args.text('edge-router');
  return edge === undefined ? '$management' : `_edge/${edge}/$management`;
}
