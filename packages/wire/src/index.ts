// SPDX-License-Identifier: Apache-2.0
export * from './errors.js';
export * from './frames.js';
export * from './generated/composites.js';
export * from './message.js';
export * from './reader.js';
export * from './serial-number.js';
export * from './values.js';
export * from './writer.js';
export { composites, restricted } from './definitions/index.js';
export type { Composite, Field, Restricted } from './definitions/composite.js';
