// SPDX-License-Identifier: Apache-2.0
export { runCommand } from './command.js';
export type { CommandIo } from './command.js';
export type { RouterConfig } from './config/model.js';
export { formatProblems } from './config/problems.js';
export type { ConfigProblem } from './config/problems.js';
export { configFormatOf, loadConfig, readConfig } from './config/read-config.js';
export type { ConfigFormat, ConfigResult, ReadOptions } from './config/read-config.js';
export { LogError, createLogger, silentLogger } from './log.js';
export type { LogChanges, LogCounts, LogRow, Logger, LoggerOptions } from './log.js';
export { startNamespaceServer } from './namespace-server/namespace-server.js';
export type {
  ConnectionStringOptions,
  NamespaceMode,
  NamespaceServer,
  NamespaceServerOptions,
  PortName,
} from './namespace-server/namespace-server.js';
export { startNamespace } from './namespace-server/start-namespace.js';
export type { RunningNamespace } from './namespace-server/start-namespace.js';
export { ConnectorRuntime } from './run/connector.js';
export type { ConnectorStep } from './run/connector.js';
export { ConnectorError } from './run/destination.js';
export { RouterProcess } from './run/router-process.js';
export type { OpenListener, RouterProcessObserver, RouterProcessOptions } from './run/router-process.js';
