// SPDX-License-Identifier: Apache-2.0

/** What a vhost has let in and refused. It outlives the vhost's rules. */
export class VhostCounts {
  readonly hostname: string;
  approved = 0;
  denied = 0;
  sessionDenied = 0;
  senderDenied = 0;
  receiverDenied = 0;
  maxMessageSizeDenied = 0;
  #current = 0;
  /** Names of connections by their number, by user and by host of the peer. Who has been here once stays, with nothing. */
  readonly perUser: Map<string, Map<number, string>> = new Map();
  readonly perHost: Map<string, Map<number, string>> = new Map();

  constructor(hostname: string) {
    this.hostname = hostname;
  }

  /** Connections that are open. */
  get current(): number {
    return this.#current;
  }

  ofUser(user: string): number {
    return this.perUser.get(user)?.size ?? 0;
  }

  ofHost(host: string): number {
    return this.perHost.get(host)?.size ?? 0;
  }

  opened(id: number, user: string, host: string, name: string): void {
    this.#current++;
    this.approved++;
    addTo(this.perUser, user, id, name);
    addTo(this.perHost, host, id, name);
  }

  closed(id: number, user: string, host: string): void {
    this.#current--;
    removeFrom(this.perUser, user, id);
    removeFrom(this.perHost, host, id);
  }
}

/** Users and hosts without a connection that are remembered: clients could make up names without end. */
const REMEMBERED_MAX = 1_000;

function addTo(map: Map<string, Map<number, string>>, key: string, id: number, name: string): void {
  const names = map.get(key);
  if (names === undefined) map.set(key, new Map([[id, name]]));
  else names.set(id, name);
}

function removeFrom(map: Map<string, Map<number, string>>, key: string, id: number): void {
  const names = map.get(key);
  names?.delete(id);
  if (names?.size === 0 && map.size > REMEMBERED_MAX) map.delete(key);
}
