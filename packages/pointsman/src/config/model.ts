// SPDX-License-Identifier: Apache-2.0
import type { Secret, TlsMode } from '@pointsman/azure';
import type { EntityValue } from '@pointsman/management';
import type { PolicySettings } from '@pointsman/router';
import type { ConfigSource } from './config-source.js';
import type { FailoverUrl } from './failover-urls.js';
import type { LogLevel } from './log-levels.js';
import type { ProxyAddress } from './proxy-address.js';
import type { RawValue } from './raw-config.js';

// The configuration after everything has been checked, with defaults filled in. Attribute names are those of the
// schema in @pointsman/management, where they are described. What differs is said here.

export type ConnectionRole = 'normal' | 'inter-router' | 'route-container' | 'edge';
export type StripAnnotations = 'in' | 'out' | 'both' | 'no';
export type Distribution = 'multicast' | 'closest' | 'balanced' | 'unavailable';
export type Direction = 'in' | 'out';
export type SaslMechanism = 'ANONYMOUS' | 'PLAIN' | 'EXTERNAL';

interface Entity {
  /** Unique among all entities. Made up where the file gives none: `listener/0.0.0.0:5672`, `autoLink/0`. */
  readonly name: string;
  /** Line of the file on which the section begins, for messages about it. */
  readonly line: number;
}

/** What an AMQP open says and what is enforced; undefined means never. */
export interface IdleTimeOut {
  /** `idle-time-out` of our open, in milliseconds: half of what is enforced. */
  readonly advertisedMs: number | undefined;
  /** A connection on which nothing arrived for so long is closed. */
  readonly enforcedMs: number | undefined;
}

export interface RouterSettings {
  readonly id: string;
  /** The id was made up, and will be another at the next start. */
  readonly idGenerated: boolean;
  readonly mode: 'standalone' | 'interior' | 'edge';
  readonly helloIntervalSeconds: number;
  readonly helloMaxAgeSeconds: number;
  readonly raIntervalSeconds: number;
  readonly raIntervalFluxSeconds: number;
  readonly remoteLsMaxAgeSeconds: number;
  readonly workerThreads: number;
  readonly debugDumpFile: string | undefined;
  readonly stateDir: string | undefined;
  readonly saslConfigDir: string | undefined;
  readonly saslConfigName: string;
  readonly allowResumableLinkRoute: boolean;
  readonly allowUnsettledMulticast: boolean;
  readonly timestampsInUTC: boolean;
  readonly timestampFormat: string | undefined;
  readonly defaultDistribution: Distribution;
  readonly metadata: string | undefined;
}

export interface SslProfileConfig extends Entity {
  readonly ciphers: string | undefined;
  readonly protocols: readonly TlsProtocol[] | undefined;
  /** Undefined: the authorities that the system trusts. */
  readonly caCertFile: string | undefined;
  readonly certFile: string | undefined;
  /** Undefined while there is a `certFile`: the key is in that file. */
  readonly privateKeyFile: string | undefined;
  readonly password: Secret | undefined;
  readonly uidFormat: string | undefined;
  readonly uidNameMappingFile: string | undefined;
}

export type TlsProtocol = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

interface ConnectionSettings extends Entity {
  readonly role: ConnectionRole;
  readonly cost: number;
  /** Name of one of the `sslProfiles`. */
  readonly sslProfile: string | undefined;
  /** In the order given. Undefined: all that fit. */
  readonly saslMechanisms: readonly SaslMechanism[] | undefined;
  /** 512 or more. */
  readonly maxFrameSize: number;
  /** 1 to 32768. */
  readonly maxSessions: number;
  /** Undefined: no limit. */
  readonly maxSessionFrames: number | undefined;
  readonly idleTimeOut: IdleTimeOut;
  readonly stripAnnotations: StripAnnotations;
  /** Credit to give, 1 or more. */
  readonly linkCapacity: number;
  readonly messageLoggingComponents: string;
  readonly policyVhost: string | undefined;
  readonly openProperties: Readonly<Record<string, RawValue>>;
}

export interface ListenerConfig extends ConnectionSettings {
  /** Empty: all interfaces. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly authenticatePeer: boolean;
  /** How clients of Azure Service Bus are let in that put tokens to `$cbs`. */
  readonly azureClients: 'none' | 'sas' | 'admitted';
  /** Keys of shared access policies, by name. */
  readonly azureKeys: ReadonlyMap<string, readonly Secret[]>;
  readonly saslPlugin: string | undefined;
  /** `requireSsl` or `requireEncryption`: nothing goes without TLS. */
  readonly requireEncryption: boolean;
  /** Undefined: no limit. */
  readonly initialHandshakeTimeoutSeconds: number | undefined;
  readonly multiTenant: boolean;
  /** Addresses that clients are told of in our open. */
  readonly failoverUrls: readonly FailoverUrl[];
  readonly http: boolean;
  readonly httpRootDir: string | undefined;
  readonly healthz: boolean;
  readonly metrics: boolean;
  readonly websockets: boolean;
}

/** What AMQP travels in; `auto` tries TCP first. */
export type Transport = 'tcp' | 'websocket' | 'auto';

export interface ConnectorConfig extends ConnectionSettings {
  /** Undefined exactly where there is a `connectionString`, which names it. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  /** How TLS begins. Undefined where there is a `connectionString`, from which it follows. */
  readonly tls: TlsMode | undefined;
  readonly connectionString: Secret | undefined;
  /** Name for SNI, certificate and open, where it is not the host's. */
  readonly hostname: string | undefined;
  /** Undefined: TCP, unless a connection string says otherwise. */
  readonly transport: Transport | undefined;
  readonly webSocketPort: number | undefined;
  /** Undefined: that of the environment, towards Service Bus. */
  readonly proxy: ProxyAddress | 'none' | undefined;
  /** The peer is Azure Service Bus, by its host name or because there is a `connectionString`. */
  readonly serviceBus: boolean;
  readonly verifyHostname: boolean;
  readonly allowRedirect: boolean;
  readonly saslUsername: string | undefined;
  readonly saslPassword: Secret | undefined;
  /** Undefined: by the key in the SASL exchange, and by tokens where the peer does not offer that. */
  readonly azure: AzureAccess | undefined;
}

/** How a connector proves to Azure Service Bus who we are, with what that needs. */
export type AzureAccess =
  | { readonly kind: 'plain' }
  /** Tokens made of the key, or the one that is given ready-made. */
  | { readonly kind: 'sas' }
  | {
      readonly kind: 'clientSecret';
      readonly tenantId: string;
      readonly clientId: string;
      /** Undefined where it was not found, which has been reported. */
      readonly secret: Secret | undefined;
    }
  | {
      readonly kind: 'clientCertificate';
      readonly tenantId: string;
      readonly clientId: string;
      readonly file: string;
      readonly password: Secret | undefined;
    }
  | {
      readonly kind: 'workloadIdentity';
      readonly tenantId: string | undefined;
      readonly clientId: string | undefined;
      readonly tokenFile: string | undefined;
    }
  | { readonly kind: 'managedIdentity'; readonly clientId: string | undefined }
  | { readonly kind: 'developerLogin'; readonly tenantId: string | undefined }
  /** The program and its arguments. */
  | { readonly kind: 'command'; readonly command: readonly string[] };

export interface AddressConfig extends Entity {
  /** Exactly one of `prefix` and `pattern` is there. */
  readonly prefix: string | undefined;
  readonly pattern: string | undefined;
  readonly distribution: Distribution;
  readonly waypoint: boolean;
  /** A waypoint's phases are 0 and 1 where the file gives neither. */
  readonly ingressPhase: number;
  readonly egressPhase: number;
  readonly priority: number | undefined;
  readonly enableFallback: boolean;
}

interface Attachment extends Entity {
  readonly direction: Direction;
  /** Exactly one of `connection` (the name of a listener or connector) and `containerId` is there. */
  readonly connection: string | undefined;
  readonly containerId: string | undefined;
}

export interface LinkRouteConfig extends Attachment {
  /** Exactly one of `prefix` and `pattern` is there. */
  readonly prefix: string | undefined;
  readonly pattern: string | undefined;
  readonly addExternalPrefix: string | undefined;
  readonly delExternalPrefix: string | undefined;
  readonly distribution: 'linkBalanced';
}

export interface AutoLinkConfig extends Attachment {
  readonly address: string;
  readonly phase: number;
  /** Name of the node at the broker: `externalAddress`, or else the address. */
  readonly externalAddress: string;
  readonly fallback: boolean;
  readonly renewLocks: boolean;
  readonly receiveMode: 'peekLock' | 'receiveAndDelete';
  readonly prefetch: number | undefined;
  readonly filter: string | undefined;
  /** At most one of `sessionId` and `nextSession` is there. */
  readonly sessionId: string | undefined;
  readonly nextSession: boolean;
}

export interface ExchangeConfig extends Entity {
  readonly address: string;
  readonly phase: number;
  readonly alternateAddress: string | undefined;
  readonly alternatePhase: number;
  readonly matchMethod: 'amqp' | 'mqtt';
}

export interface BindingConfig extends Entity {
  readonly exchangeName: string;
  /** Undefined: all subjects. */
  readonly bindingKey: string | undefined;
  readonly nextHopAddress: string;
  readonly nextHopPhase: number;
}

export interface VhostConfig extends Entity {
  readonly hostname: string;
  /** As the section has them, with defaults. */
  readonly attributes: EntityValue;
}

export interface LogConfig extends Entity {
  readonly module: string;
  /** Undefined, here and below: what module DEFAULT has. */
  readonly levels: ReadonlySet<LogLevel> | undefined;
  readonly includeTimestamp: boolean | undefined;
  readonly includeSource: boolean | undefined;
  readonly outputFile: string | undefined;
}

/** A whole configuration. Lists are in the order of the file. */
export interface RouterConfig {
  /** The file as it was named. */
  readonly file: string;
  readonly router: RouterSettings;
  readonly sslProfiles: readonly SslProfileConfig[];
  readonly listeners: readonly ListenerConfig[];
  readonly connectors: readonly ConnectorConfig[];
  readonly addresses: readonly AddressConfig[];
  readonly linkRoutes: readonly LinkRouteConfig[];
  readonly autoLinks: readonly AutoLinkConfig[];
  readonly exchanges: readonly ExchangeConfig[];
  readonly bindings: readonly BindingConfig[];
  readonly policy: PolicySettings;
  /** Those of its policyDir come last. */
  readonly vhosts: readonly VhostConfig[];
  readonly logs: readonly LogConfig[];
  /** The entities that it was made of, as management shows them, and the rules for adding to them. */
  readonly source: ConfigSource;
}
