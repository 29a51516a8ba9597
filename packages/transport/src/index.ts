// SPDX-License-Identifier: Apache-2.0
export { DEFAULT_BACKOFF, backoffDelay } from './backoff.js';
export type { Backoff } from './backoff.js';
export { DeadlineWheel } from './deadline-wheel.js';
export type { WheelEntry } from './deadline-wheel.js';
export { issueCertificate, makeDevelopmentCertificates } from './development-certificate.js';
export type {
  CertificateIssuer,
  CertificateRequest,
  DevelopmentCertificateOptions,
  DevelopmentCertificates,
  IssuedCertificate,
} from './development-certificate.js';
export { dial, dialSocket } from './dial.js';
export type { DialMode, DialOptions, DialSocketOptions } from './dial.js';
export type { HttpProxy } from './proxy.js';
export { Driver, processClock, sharedDriver } from './drive.js';
export type { DrivenConnection, Flushable } from './drive.js';
export { keepConnected } from './keep-connected.js';
export type {
  ConnectionControl,
  ConnectorState,
  ConnectorStatus,
  KeepConnectedOptions,
  KeptConnection,
} from './keep-connected.js';
export { listen } from './listen.js';
export type {
  EndpointFactory,
  InBandTlsOptions,
  Listener,
  ListenMode,
  ListenOptions,
  Refusal,
  RefusalKind,
  ServerTlsOptions,
} from './listen-options.js';
export type { ByteStream, PeerCertificate, StreamHandler, StreamInfo } from './stream.js';
export { readSmallFile } from './small-file.js';
export { TlsCredentials, TlsCredentialsError, loadTlsCredentials, systemAuthorities } from './tls-credentials.js';
export type { FileReader, TlsProfile } from './tls-credentials.js';
export { TransportError, certificateNames, chainOf, placeText } from './transport-error.js';
export type { TransportErrorKind } from './transport-error.js';
export { SERVICE_BUS_WEBSOCKET_PATH, WEBSOCKET_PROTOCOLS } from './websocket-stream.js';
