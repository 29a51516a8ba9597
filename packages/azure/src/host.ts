// SPDX-License-Identifier: Apache-2.0

/** Domains under which each sovereign cloud publishes its namespaces. */
const DOMAINS: readonly string[] = [
  'servicebus.windows.net',
  'servicebus.usgovcloudapi.net',
  'servicebus.chinacloudapi.cn',
  'servicebus.cloudapi.de',
];

/**
 * Whether `host` names a Service Bus or Event Hubs namespace of a public or sovereign cloud. Private-link names count.
 *
 * @param host - a host name without port; case and a trailing dot do not matter
 */
export function isServiceBusHost(host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '');
  return DOMAINS.some((domain) => name.endsWith(`.${domain}`));
}
