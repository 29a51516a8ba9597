// SPDX-License-Identifier: Apache-2.0
export * from './chunk.js';
export * from './connection.js';
export * from './connection-options.js';
export * from './connection-state.js';
export * from './delivery.js';
export * from './endpoint.js';
export * from './frame-trace.js';
export * from './frame-tracer.js';
export {
  DispositionFrame,
  FlowFrame,
  TransferFrame,
  parseDisposition,
  parseFlow,
  parseTransfer,
} from './hot-frames.js';
export * from './link.js';
export * from './sasl.js';
export * from './session.js';
